"""XMP packets: extended, never replaced, and nothing hostile expanded."""

import time
from xml.dom import minidom

import pytest

from enhance_jax.inference import xmp

A, B = "http://example.org/a/", "http://example.org/b#"
PREFIXES = {A: "a", B: "b"}
RDF = f'xmlns:rdf="{xmp.RDF}"'


def packet(inside, *, around="", rdf="rdf"):
  """A packet whose rdf:RDF holds `inside`."""
  name = f"{rdf}:RDF" if rdf else "RDF"
  declared = f'xmlns:{rdf}="{xmp.RDF}"' if rdf else f'xmlns="{xmp.RDF}"'
  return (
    f'<?xpacket begin="\ufeff" id="x"?>{around}<x:xmpmeta xmlns:x='
    f'"adobe:ns:meta/"><{name} {declared}>{inside}</{name}></x:xmpmeta>'
    f'{" " * 50}<?xpacket end="w"?>'
  ).encode()


FOREIGN = (
  '<rdf:Description rdf:about="uuid:7" xmlns:dc="http://purl.org/dc/">'
  "<!-- kept --><dc:title><rdf:Alt><rdf:li>Z\u00fcrich &lt;3</rdf:li></rdf:Alt>"
  '</dc:title></rdf:Description><rdf:Description rdf:about="uuid:7" '
  'xmlns:q="http://q/" q:x="1"/>'
)


def values(data, *names):
  return xmp.simple_properties(data, names)


def test_a_new_packet_holds_the_properties():
  text = 'quotes " and \' <tags> & {"json": 1}'
  made = xmp.with_properties(
    None, {(A, "One"): text, (B, "Two"): "2"}, PREFIXES
  )
  assert values(made, (A, "One"), (B, "Two"), (B, "One")) == {
    (A, "One"): text,
    (B, "Two"): "2",
  }
  assert made.startswith('<?xpacket begin="\ufeff" id="W5M0'.encode())
  assert made.endswith(b'<?xpacket end="w"?>')


def test_what_others_wrote_stays_as_it_is():
  before = packet(FOREIGN)
  made = xmp.with_properties(before, {(A, "One"): "1"}, PREFIXES)
  # Only the order of attributes may be another one.
  kept = FOREIGN[FOREIGN.index("<!--") : FOREIGN.index("</rdf:Desc")]
  assert kept.encode() in made and b'q:x="1"' in made
  assert values(made, (A, "One")) == {(A, "One"): "1"}
  # All descriptions are about the same resource, as the standard wants it.
  nodes = minidom.parseString(made).getElementsByTagNameNS(
    xmp.RDF, "Description"
  )
  assert [n.getAttributeNS(xmp.RDF, "about") for n in nodes] == ["uuid:7"] * 3


@pytest.mark.parametrize("form", ["attribute", "element"])
def test_a_property_is_there_once(form):
  inside = {
    "attribute": f'<rdf:Description rdf:about="" xmlns:z="{A}" z:One="old" '
    'z:Other="kept"/>',
    "element": f'<rdf:Description rdf:about="" xmlns:z="{A}"><z:One>old</z:One>'
    "<z:Other>kept</z:Other></rdf:Description>",
  }[form]
  before = packet(inside)
  assert values(before, (A, "One")) == {(A, "One"): "old"}
  made = xmp.with_properties(before, {(A, "One"): "new"}, PREFIXES)
  assert b"old" not in made and made.count(b"One=") == 1
  assert values(made, (A, "One"), (A, "Other")) == {
    (A, "One"): "new",
    (A, "Other"): "kept",
  }
  twice = xmp.with_properties(made, {(A, "One"): "newer"}, PREFIXES)
  assert b'"new"' not in twice and values(twice, (A, "One")) == {
    (A, "One"): "newer"
  }
  gone = xmp.with_properties(before, {}, {}, without=[(A, "One")])
  assert values(gone, (A, "One"), (A, "Other")) == {(A, "Other"): "kept"}


@pytest.mark.parametrize("rdf", ["", "r"])
def test_any_prefix_of_rdf_will_do(rdf):
  made = xmp.with_properties(packet("", rdf=rdf), {(A, "One"): "1"}, PREFIXES)
  assert values(made, (A, "One")) == {(A, "One"): "1"}


LAUGHS = "".join(
  f'<!ENTITY l{i} "' + f"&l{i - 1};" * 10 + '">' for i in range(1, 30)
)
MANY = " ".join(f"b{i}='1'" for i in range(200_000))
NESTED = "<a>" * 5000 + "</a>" * 5000


HOSTILE = [
  (
    packet("&l29;", around=f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>'),
    "document type",
  ),
  (
    packet(
      "&f;",
      around='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
    ),
    "document type",
  ),
  (
    packet("", around='<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd">'),
    "document type",
  ),
  (packet("&l0;"), "undefined entity"),
  (packet(NESTED), "nested more than"),
  (packet("<a/>" * 200_000), "more than 100000"),
  (packet(f"<a {MANY}/>"), "more than 100000"),
  (packet(" " * (1 << 24)), "bytes"),
  (packet("<b>"), "mismatched tag"),
  (packet("<u:b/>"), "unbound prefix"),
  (b"", "no element found"),
  (b"\xff\xfe\x00", "."),
  (b"<x/>", "0 rdf:RDF elements"),
  (packet(f"<rdf:RDF {RDF}/>"), "2 rdf:RDF elements"),
  (b'<?xml version="1.0" encoding="none-such"?><x/>', "unknown encoding"),
]


# By number: the packets themselves would be the names of the tests.
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_and_damaged_packets_are_refused_at_once(number):
  data, words = HOSTILE[number]
  began = time.perf_counter()
  with pytest.raises(xmp.PacketError, match=words):
    # An empty packet is not "none".
    xmp.with_properties(data or b" ", {(A, "One"): "1"}, PREFIXES)
  assert time.perf_counter() - began < 5
