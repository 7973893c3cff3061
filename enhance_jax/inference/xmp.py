"""Properties written into XMP packets that other programs have made.

The standard library's minidom keeps prefixes, comments and processing
instructions as they are. A packet is handed to it only after a first reading
has found no document type, without which no entity can be declared, and neither
depth nor number that could exhaust it: so nothing hostile is ever expanded.
"""

from collections.abc import Collection, Iterable, Mapping
from xml.dom import minidom
from xml.parsers import expat

MAX_BYTES = 1 << 24
MAX_NODES = 100_000
MAX_DEPTH = 64
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
# The byte order mark and the number are the same in every packet (ISO 16684-1).
_EMPTY = (
  '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
  f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'
  '<?xpacket end="w"?>'
).encode()

Name = tuple[str, str]


class PacketError(Exception):
  """The packet is damaged, hostile or none; says why."""


def with_properties(
  packet: bytes | None,
  values: Mapping[Name, str],
  prefixes: Mapping[str, str],
  *,
  without: Iterable[Name] = (),
) -> bytes:
  """The packet with these simple properties; all else in it stays.

  Args:
    packet: UTF-8; None makes a new one.
    values: (namespace, name) -> value; replaced where they are there.
    prefixes: namespace -> prefix that new properties are written with.
    without: (namespace, name) of properties to take out.

  Returns:
    the packet in UTF-8.

  Raises:
    PacketError: see there.
  """
  document = _parse(packet or _EMPTY)
  roots = document.getElementsByTagNameNS(RDF, "RDF")
  if len(roots) != 1:
    raise PacketError(f"it has {len(roots)} rdf:RDF elements, wanted one")
  root = roots[0]
  about = ""
  for node in _descriptions(root):
    about = about or node.getAttributeNS(RDF, "about")
    for namespace, name in (*values, *without):
      if node.hasAttributeNS(namespace, name):
        node.removeAttributeNS(namespace, name)
      for child in _children(node, namespace, name):
        node.removeChild(child)
  new = document.createElementNS(RDF, "rdf:Description")
  new.setAttributeNS(_XMLNS, "xmlns:rdf", RDF)
  # All descriptions of one packet are about the same thing.
  new.setAttributeNS(RDF, "rdf:about", about)
  for (namespace, name), value in values.items():
    prefix = prefixes[namespace]
    new.setAttributeNS(_XMLNS, f"xmlns:{prefix}", namespace)
    new.setAttributeNS(namespace, f"{prefix}:{name}", value)
  root.appendChild(new)
  # Without the declaration that a document of minidom begins with.
  return "".join(node.toxml() for node in document.childNodes).encode()


def simple_properties(
  packet: bytes, names: Collection[Name]
) -> dict[Name, str]:
  """The values of those simple properties that the packet has.

  Args:
    packet: UTF-8.
    names: (namespace, name) of each.

  Raises:
    PacketError: see there.
  """
  found = {}
  for root in _parse(packet).getElementsByTagNameNS(RDF, "RDF"):
    for node in _descriptions(root):
      for namespace, name in names:
        if node.hasAttributeNS(namespace, name):
          found[namespace, name] = node.getAttributeNS(namespace, name)
        for child in _children(node, namespace, name):
          found[namespace, name] = "".join(
            part.data
            for part in child.childNodes
            if isinstance(part, minidom.CharacterData)
          )
  return found


def _descriptions(root: minidom.Element) -> list[minidom.Element]:
  return _children(root, RDF, "Description")


def _children(
  node: minidom.Element, namespace: str, name: str
) -> list[minidom.Element]:
  return [
    child
    for child in node.childNodes
    if child.nodeType == child.ELEMENT_NODE
    and (child.namespaceURI, child.localName) == (namespace, name)
  ]


def _parse(packet: bytes) -> minidom.Document:
  if len(packet) > MAX_BYTES:
    raise PacketError(
      f"it has {len(packet)} bytes, at most {MAX_BYTES} are read"
    )
  _inspect(packet)
  try:
    return minidom.parseString(packet)
  except (expat.ExpatError, ValueError) as error:
    raise PacketError(str(error)) from error


def _inspect(packet: bytes) -> None:
  """Reads the packet once without building anything from it."""
  depth = nodes = 0

  def refuse(*_: object) -> None:
    raise PacketError("it has a document type, which may declare entities")

  def start(_: str, attributes: Mapping[str, str]) -> None:
    nonlocal depth, nodes
    depth += 1
    nodes += 1 + len(attributes)
    if depth > MAX_DEPTH or nodes > MAX_NODES:
      raise PacketError(
        f"it has more than {MAX_NODES} elements and attributes, or is nested "
        f"more than {MAX_DEPTH} deep"
      )

  def end(_: str) -> None:
    nonlocal depth
    depth -= 1

  parser = expat.ParserCreate()
  parser.StartDoctypeDeclHandler = refuse
  parser.StartElementHandler = start
  parser.EndElementHandler = end
  try:
    parser.Parse(packet, True)
  except (expat.ExpatError, ValueError, LookupError) as error:
    raise PacketError(str(error)) from error
