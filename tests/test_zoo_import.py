"""Importing and exporting public weights: recognised, tried, the same bits."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from enhance_jax import errors, registry, zoo
from enhance_jax.zoo import __main__ as door
from enhance_jax.zoo import importing, probe, recognition
from tests import public_weights as public
from tests.weight_files import write_arrays


def floats(rows, factor=0.1):
  """Arrays of a layout, small enough for a picture to survive them."""
  return {
    name: np.float32(factor * array)
    for name, array in public.state(rows).items()
  }


def fsrcnn():
  plan = ((4, 1, 5), (2, 4, 1), (2, 2, 3), (4, 2, 1))
  for i, (out, inputs, size) in enumerate(plan, start=1):
    yield from public.conv(f"conv{i}", out, inputs, size)
    yield f"prelu{i}", (out,)
  yield "deconv.weight", (4, 1, 9, 9)
  yield "deconv.bias", (1,)


def srcnn():
  for i, row in enumerate(((4, 1, 9), (2, 4, 3), (1, 2, 5)), start=1):
    yield from public.conv(f"conv{i}", *row)


def vdsr():
  for name, out, inputs in (
    ("input", 3, 1),
    ("residual_layer.0.conv", 3, 3),
    ("residual_layer.1.conv", 3, 3),
    ("output", 1, 3),
  ):
    yield from public.conv(name, out, inputs, bias=False)


# Layout, flags that its arrays cannot do without, what is recognised.
KNOWN = {
  "rrdb": ((public.rrdb, 2, 4, 2), [], {"blocks": 2, "growth": 2, "scale": 4}),
  "rrdb x2": ((public.rrdb, 1, 4, 2, 2), [], {"scale": 2, "blocks": 1}),
  "rrdb x1": ((public.rrdb, 1, 4, 2, 4), [], {"scale": 1}),
  "msrresnet": ((public.msrresnet, 2, 4), [], {"blocks": 2, "scale": 4}),
  "edsr": ((public.edsr, 1, 4, (3,)), [], {"scale": 3, "residual_scale": 1.0}),
  "compact": ((public.compact, 2, 4, 2), [], {"convs": 2, "scale": 2}),
  "srcnn": ((srcnn,), ["--scale=3"], {"middle": 3, "scale": 3}),
  "vdsr": ((vdsr,), ["--scale=2,3,4"], {"depth": 4, "scale": 2}),
  "fsrcnn": ((fsrcnn,), ["--scale=2"], {"mappings": 1, "scale": 2}),
}


@pytest.mark.parametrize("case", KNOWN)
def test_import_and_export_give_back_the_bits(tmp_path, capsys, case):
  (rows, *sizes), flags, expected = KNOWN[case]
  tensors = floats(rows(*sizes))
  source = write_arrays(tmp_path / "theirs.pth", tensors)
  out, back = tmp_path / "ours.safetensors", tmp_path / "back.safetensors"
  command = ["import", str(source), "-o", str(out), "--faithful", "--anyway"]
  assert door.main(command + flags) == 0
  told = capsys.readouterr().out
  generator = zoo.load_generator(out)
  assert generator.model == case.split()[0] and generator.model in told
  assert {k: generator.kwargs[k] for k in expected} == expected
  card = generator.card
  assert card["generative"] is False
  assert card["imported"]["sha256"] == zoo.file_sha256(source)
  assert card["imported"]["file"] == source.name
  assert card["probe"]["finite"] and "colour" in card["probe"]
  assert door.main(["export", str(out), "-o", str(back)]) == 0
  assert "the same bits" in capsys.readouterr().out
  exported = load_file(back)
  assert exported.keys() == tensors.keys()
  for name, array in tensors.items():
    assert exported[name].tobytes() == array.tobytes(), name
  # What was exported needs no flags: its metadata tell what arrays cannot.
  again = importing.import_file(back, anyway=True).generator
  assert again.kwargs == generator.kwargs
  assert again.card.get("scales") == card.get("scales")
  assert again.card["generative"] is False


def good(scale=4):
  """A network that enlarges by repeating pixels: its detail is nothing."""
  return floats(public.compact(1, 4, scale), 0.0)


def pth(tmp_path, tensors, name="theirs.pth"):
  return write_arrays(tmp_path / name, tensors)


def wrapped(prefix, tensors):
  return {f"{prefix}.{name}": array for name, array in tensors.items()}


def test_a_good_network_is_tried_and_written_beside(tmp_path, capsys):
  source = pth(tmp_path, good())
  assert door.main(["import", str(source), "--generative"]) == 0
  told = capsys.readouterr().out
  assert "comes out as 96 x 96" in told and "all 8 arrays" in told
  generator = zoo.load_generator(tmp_path / "theirs.safetensors")
  assert generator.card["generative"] is True
  figures = generator.card["probe"]
  # Repeated pixels, made small, are blurred a little; their mean is exact.
  assert figures["colour"] < 1e-4 and figures["lr_psnr"] > 30
  with pytest.raises(errors.EnhanceError, match="already there"):
    door.main(["import", str(source), "--generative"])


def test_how_it_was_trained_must_be_said(tmp_path):
  source = pth(tmp_path, good())
  with pytest.raises(errors.EnhanceError, match="compact, .* say --generative"):
    importing.import_file(source)
  assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
  ("change", "words"),
  [
    (("body.0.bias", 1e38), "NaN or infinity; the weights are damaged"),
    (("body.0.bias", np.nan), "body.0.bias|conv_in/bias holds NaN"),
    (("body.4.bias", 0.4), r"mean colour off by 0\.4.* --anyway"),
  ],
)
def test_what_makes_no_picture_is_refused(tmp_path, change, words):
  tensors = good()
  name, value = change
  tensors[name] = np.full_like(tensors[name], value)
  if value == 1e38:
    tensors["body.2.weight"] = tensors["body.2.weight"] + 1e38
    tensors["body.4.weight"] = tensors["body.4.weight"] + 1
  source = pth(tmp_path, tensors)
  with pytest.raises(errors.EnhanceError, match=words):
    door.main(["import", str(source), "--faithful"])
  assert list(tmp_path.iterdir()) == [source]


def test_options_that_no_array_tells(tmp_path, capsys):
  source = pth(tmp_path, floats(public.edsr(1, 4)))
  command = ["import", str(source), "--faithful", "--anyway"]
  assert door.main([*command, "-o", str(tmp_path / "a")]) == 0
  assert "residual_scale=1.0, which no array tells" in capsys.readouterr().out
  more = ["--set", "residual_scale=0.1", "-o", str(tmp_path / "b")]
  assert door.main(command + more) == 0
  assert "taken       residual_scale" not in capsys.readouterr().out
  made = zoo.load_generator(tmp_path / "b.safetensors")
  assert made.module.residual_scale == 0.1
  for option, words in (
    ("residual=1", 'did you mean "residual_scale"'),
    ("width=8", r"conv_in/bias is \[4\], wanted \[8\]"),
  ):
    with pytest.raises(errors.EnhanceError, match=words):
      door.main([*command, f"--set={option}", "-o", str(tmp_path / "c")])


def test_scales(tmp_path, capsys):
  source = pth(tmp_path, floats(vdsr()))
  with pytest.raises(errors.EnhanceError, match="do not tell the enlargement"):
    door.main(["import", str(source), "--faithful"])
  command = ["import", str(source), "--faithful", "--scale=3,2", "--anyway"]
  assert door.main(command) == 0
  made = tmp_path / "theirs.safetensors"
  assert zoo.load_generator(made).card["scales"] == [2, 3]
  assert zoo.load_generator(made).module.scale == 3
  assert zoo.load_generator(made, scale=2).module.scale == 2
  told = pth(tmp_path, good(), "told.pth")
  with pytest.raises(errors.EnhanceError, match="x4 by its arrays, --scale=3"):
    door.main(["import", str(told), "--faithful", "--scale=3"])
  for flag in ("--scale=0", "--scale=2,", "--set=x"):
    with pytest.raises(SystemExit):
      door.main(["import", str(told), flag])
    assert "error: argument" in capsys.readouterr().err


def recognised(tmp_path, tensors, prefix=None):
  path = pth(tmp_path, tensors, f"{len(list(tmp_path.iterdir()))}.pth")
  return importing.import_file(path, generative=False, prefix=prefix)


def test_the_moving_average_is_taken_and_the_rest_left(tmp_path):
  tensors = (
    wrapped("params", floats(public.compact(1, 4), 1.0))
    | wrapped("params_ema", good())
    | wrapped("optimizer.state.0", {"exp_avg": np.ones(3, np.float32)})
  )
  done = recognised(tmp_path, tensors)
  assert done.match.prefix == "params_ema."
  assert not zoo.flatten(done.generator.variables)["params/conv_in/bias"].any()
  for prefix in ("module", "state_dict.module", "netG"):
    tensors = wrapped(prefix, good()) | {
      "netD.a.weight": np.ones(2, np.float32)
    }
    assert recognised(tmp_path, tensors).match.prefix == f"{prefix}."


def test_of_two_networks_one_must_be_chosen(tmp_path):
  tensors = wrapped("student", good()) | wrapped("teacher", good(2))
  with pytest.raises(errors.EnhanceError, match=r'"student\." .* --prefix'):
    recognised(tmp_path, tensors)
  assert recognised(tmp_path, tensors, "teacher.").match.options["scale"] == 2
  with pytest.raises(errors.EnhanceError, match="none with a name"):
    recognised(tmp_path, tensors, "nobody.")


def test_a_partly_matching_file_is_told_array_by_array(tmp_path):
  tensors = floats(public.rrdb(2, 4, 2))
  del tensors["body.1.rdb2.conv3.bias"]
  tensors["conv_hr.weight"] = np.zeros((5, 4, 3, 3), np.float32)
  tensors["attention.weight"] = np.zeros(3, np.float32)
  with pytest.raises(errors.EnhanceError) as caught:
    recognised(tmp_path, tensors)
  told = str(caught.value)
  for words in (
    'the nearest is rrdb in the layout "basicsr"',
    f"{len(tensors) - 2} arrays match",
    "1 missing: body.1.rdb2.conv3.bias",
    "1 left over: attention.weight",
    "1 of another shape: conv_hr.weight is [5, 4, 3, 3], wanted [4, 4, 3, 3]",
  ):
    assert words in told, told


def test_the_first_array_missing_leaves_the_nearest_known(tmp_path):
  tensors = floats(public.edsr(2, 4))
  del tensors["conv_first.weight"]
  words = 'nearest is edsr in the layout "basicsr".*lacks conv_first.weight'
  with pytest.raises(errors.EnhanceError, match=words):
    recognised(tmp_path, tensors)


def test_unknown_files(tmp_path):
  with pytest.raises(errors.EnhanceError, match="2 arrays .a, b., none with"):
    recognised(
      tmp_path, {"a": np.zeros(2, np.float32), "b": np.ones(1, np.float32)}
    )
  ours = importing.import_file(pth(tmp_path, good()), generative=False)
  path = zoo.save_generator(
    tmp_path / "ours",
    model=ours.generator.model,
    kwargs=ours.generator.kwargs,
    variables=ours.generator.variables,
    card=ours.generator.card,
  )
  with pytest.raises(errors.EnhanceError, match="of this project already"):
    importing.import_file(path)


def test_half_precision_becomes_float32(tmp_path):
  half = {
    k: a.astype(np.float16) for k, a in floats(public.compact(1, 4)).items()
  }
  save_file(half, tmp_path / "half.safetensors")
  done = importing.import_file(
    tmp_path / "half.safetensors", generative=False, anyway=True
  )
  kernel = zoo.flatten(done.generator.variables)["params/conv_in/kernel"]
  assert kernel.dtype == np.float32
  np.testing.assert_array_equal(
    kernel, np.float32(half["body.0.weight"]).transpose(2, 3, 1, 0)
  )


def test_files_of_pytorch_itself(tmp_path):
  torch = pytest.importorskip("torch", reason="writes the files")
  from tests import torch_modern as modern

  torch.manual_seed(0)
  theirs = modern.SRGAN(2, 6, 2, norm=True)
  modern.randomize(theirs)
  for new in (True, False):
    path = tmp_path / f"{new}.pth"
    content = {"epoch": 3, "generator": theirs.state_dict(), "loss": [1.5]}
    torch.save(content, path, _use_new_zipfile_serialization=new)
    done = importing.import_file(path, generative=True, anyway=True)
    assert (done.match.model, done.match.prefix) == ("srresnet", "generator.")
    assert done.assumed == {"output": "tanh"}
    assert done.generator.kwargs["norm_bias"] is True


def test_layouts_can_be_changed(tmp_path, capsys):
  source = pth(tmp_path, floats(public.rrdb(1, 4, 2)))
  out = str(tmp_path / "ours")
  door.main(["import", str(source), "--faithful", "--anyway", "-o", out])
  old = tmp_path / "old.safetensors"
  command = ["export", out, "-o", str(old)]
  assert door.main([*command, "--layout=esrgan_oldest"]) == 0
  assert "model.1.sub.0.RDB1.conv1.0.weight" in load_file(old)
  with safe_open(old, framework="numpy") as file:
    said = json.loads(file.metadata()["enhance_jax"])
  assert said["layout"] == "esrgan_oldest" and said["model"] == "rrdb"
  with pytest.raises(errors.EnhanceError, match="already there"):
    door.main(command)
  old.unlink()
  with pytest.raises(errors.EnhanceError, match='did you mean "esrgan"'):
    door.main([*command, "--layout=esrgn"])
  assert not old.exists()


def test_networks_that_nobody_publishes_are_not_exported():
  with pytest.raises(errors.EnhanceError, match="nobody publishes srez"):
    from enhance_jax.zoo import exporting

    exporting.family("srez")


def test_every_layout_is_recognised_by_its_names():
  for model in registry.PUBLIC:
    family = registry.lookup(registry.PUBLIC, model, "network")
    for layout in family.layouts:
      rows = family.rows(family.factory(), layout)
      names = {row.theirs: np.zeros(1) for row in rows if row.theirs}
      assert family.layout_of(names) == layout
      assert (model, layout) in recognition._candidates(names)


def test_the_probe_sees_wrong_colours():
  lr = probe.picture(3)
  assert lr.shape == (24, 24, 3) and lr.dtype == np.float32
  assert 0 <= lr.min() < 0.2 and 0.8 < lr.max() <= 1
  figures = {"finite": True, "size": [4], "wanted": [4], "colour": 0.2}
  with pytest.raises(errors.EnhanceError, match="another one"):
    probe.check(figures | {"lr_psnr": 30.0}, "x", anyway=False)
  probe.check(figures | {"lr_psnr": 3.0}, "x", anyway=True)
  with pytest.raises(errors.EnhanceError, match=r"as \[3\], wanted \[4\]"):
    probe.check(figures | {"size": [3]}, "x", anyway=True)


def test_absurd_names_and_shapes_cost_nothing(tmp_path):
  # A layer's number as large as it likes, arrays without a single value.
  oldest = {
    "model.0.weight": np.zeros((0, 3, 3, 3), np.float32),
    "model.1.sub.0.RDB1.conv1.0.weight": np.zeros((0, 0, 3, 3), np.float32),
    f"model.{10**15}.weight": np.zeros((3, 0, 3, 3), np.float32),
  }
  many = {f"n{i}.conv1.weight": np.zeros(1, np.float32) for i in range(2000)}
  for tensors in (oldest, many):
    with pytest.raises(errors.EnhanceError, match="no network known|none with"):
      recognition.detect(tensors, tmp_path / "x.pth")
