"""StableHLO artefacts, their sidecars, and the command that writes both."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from enhance_jax import deploy, errors, export, images, registry, zoo
from enhance_jax.deploy import measured, network, stablehlo
from tests import runs
from tests.tiny_networks import OPTIONS, bundle, close, picture, result

# Plans its work by the size, which is then named.
SIZED = {"sparse_coding": (21, 24)}


def write(tmp_path, generator, **options):
  path = tmp_path / "net.stablehlo"
  metadata = deploy.export(
    generator, path, deploy.Request(format="stablehlo", **options)
  )
  return path, metadata


def write_set(folder, sides=((24, 30), (26, 23))):
  for i, (height, width) in enumerate(sides):
    rows, columns = np.mgrid[:height, :width]
    wave = 0.5 + 0.4 * np.sin(rows / 3 + i) * np.cos(columns / 4)
    pixels = images.to_uint8(np.repeat(wave[..., None], 3, axis=-1))
    folder.mkdir(exist_ok=True)
    images.write_picture(folder / f"{i}.png", images.Picture(pixels))
  return str(folder)


def test_every_generator_is_here():
  assert set(OPTIONS) == set(registry.GENERATORS)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_program_gives_what_the_network_gives(name):
  generator, size = bundle(name), SIZED.get(name)
  run = stablehlo.load(stablehlo.program(generator, "float32", size))
  for shape in [(1, *size)] if size else [(2, 5, 7), (1, 1, 1)]:
    lr = picture(*shape, generator.module.channels)
    close(np.asarray(run(lr)), result(generator, lr))


@pytest.mark.parametrize("scale", [1, 2])
def test_a_network_that_folds_squares_takes_sides_of_any_length(scale):
  generator = bundle("rrdb", scale=scale)
  assert generator.module.multiple == 4 // scale
  run = stablehlo.load(stablehlo.program(generator, "float32", None))
  for height, width in [(2, 1), (9, 7)]:
    lr = picture(1, height, width, 3)
    close(np.asarray(run(lr)), result(generator, lr))


def test_a_network_that_works_by_size_asks_for_one(tmp_path):
  with pytest.raises(errors.EnhanceError, match="name one by --size="):
    write(tmp_path, bundle("sparse_coding"))
  path, metadata = write(tmp_path, bundle("sparse_coding"), size=(21, 24))
  assert metadata["input"]["shape"] == [1, 21, 24, 1]
  assert metadata["output"]["shape"] == [1, 42, 48, 1]
  with pytest.raises(errors.EnhanceError, match=r"wanted \[1, 21, 24, 1\]"):
    deploy.load(path)(picture(1, 24, 21, 1))


def test_bfloat16_is_kept_and_computed():
  generator = bundle("srresnet", width=16)
  whole = stablehlo.program(generator, "float32", None)
  half = stablehlo.program(generator, "bfloat16", None)
  kernels = sum(
    leaf.size
    for name, leaf in zoo.flatten(generator.variables).items()
    if name.endswith("kernel")
  )
  assert 1.7 * kernels < len(whole) - len(half) < 2.1 * kernels
  lr = picture(1, 6, 7, 3)
  narrow = bundle("srresnet", width=16, dtype=jnp.bfloat16)
  got = np.asarray(stablehlo.load(half)(lr))
  assert got.dtype == np.float32
  close(got, result(narrow, lr), within=1e-3)
  # Eight bits of mantissa: further from float32 than float32's own rounding.
  assert 1e-4 < np.abs(got - result(generator, lr)).max() < 0.1


def test_int8_kernels_are_whole_numbers_with_a_step_a_channel():
  kernel = np.array([1.0, -0.3, 0.004], np.float32).reshape(1, 1, 3, 1)
  kernel = np.concatenate([kernel, 0 * kernel, 2 * kernel], axis=-1)
  whole, step = network.integers(kernel)
  assert whole.dtype == np.int8
  # -0.3 * 127 = -38.1, 0.004 * 127 = 0.508.
  assert whole[0, 0].T.tolist() == [[127, -38, 1], [0, 0, 0], [127, -38, 1]]
  np.testing.assert_allclose(step, np.array([1, 1, 2]) / 127, rtol=1e-6)
  generator = bundle("compact", width=16)
  rounded = zoo.flatten(generator.variables)
  variables = {"params": {}}
  for name, value in rounded.items():
    _, layer, leaf = name.split("/")
    if leaf == "kernel":
      whole, step = network.integers(value)
      value = whole * step
    variables["params"].setdefault(layer, {})[leaf] = value
  lr = picture(1, 6, 7, 3)
  wanted = np.asarray(generator.module.apply(variables, lr, train=False))
  data = stablehlo.program(generator, "int8", None)
  close(np.asarray(stablehlo.load(data)(lr)), wanted)
  assert len(data) < 0.5 * len(stablehlo.program(generator, "float32", None))


def test_a_sidecar_says_what_the_file_is(tmp_path):
  path, metadata = write(tmp_path, bundle("compact"))
  text = (tmp_path / "net.stablehlo.json").read_text()
  assert json.loads(text) == metadata
  assert metadata["sha256"] == zoo.file_sha256(path)
  assert metadata["weights_sha256"] == "0" * 64
  assert metadata["input"] == {
    "name": "input",
    "layout": "NHWC",
    "shape": ["n", "h", "w", 3],
    "dtype": "float32",
  }
  assert metadata["output"]["shape"] == ["n", "2*h", "2*w", 3]
  assert metadata["value_range"] == [0, 1] and not metadata["clipped"]
  assert metadata["platforms"] == ["cpu", "cuda", "tpu"]
  assert "six months" in metadata["compatibility"]["window"]
  assert metadata["card"] == {"generative": False, "phase": "pixel"}
  assert metadata["difference"] < 1e-5
  loaded = deploy.load(path)
  assert (loaded.scale, loaded.channels) == (2, 3)
  lr = picture(2, 4, 5, 3)
  close(loaded(lr), result(bundle("compact"), lr))


def test_what_cannot_be_loaded_is_said(tmp_path):
  path, _ = write(tmp_path, bundle("espcn"))
  beside = tmp_path / "net.stablehlo.json"
  with pytest.raises(errors.EnhanceError, match=r"wanted \[N, h, w, 1\]"):
    deploy.load(path)(picture(1, 4, 4, 3))
  data = path.read_bytes()
  path.write_bytes(data[:-1])
  with pytest.raises(errors.EnhanceError, match="its SHA-256 is another"):
    deploy.load(path)
  path.write_bytes(data)
  beside.write_text("[]")
  with pytest.raises(errors.EnhanceError, match="is no sidecar"):
    deploy.load(path)
  beside.unlink()
  with pytest.raises(errors.EnhanceError, match="json does not exist"):
    deploy.load(path)
  with pytest.raises(errors.EnhanceError, match="is no program that JAX"):
    stablehlo.load(data[: len(data) // 2])


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("a.onnx", {}, "does not end in .stablehlo"),
    ("a.stablehlo", {"dtype": "int4"}, 'no dtype called "int4"'),
    ("a.stablehlo", {"format": "tflite"}, 'no format called "tflite"'),
    ("a.stablehlo", {"calibrate": "x"}, "--calibrate is for --format=onnx"),
    ("a.stablehlo", {"size": (8, 8), "sets": ("x",)}, "leave one of the two"),
    ("there.stablehlo", {}, "is already there"),
    ("a.onnx", {"format": "onnx", "dtype": "int8"}, "--calibrate=FOLDER"),
  ],
)
def test_what_cannot_be_written_is_said(tmp_path, name, options, message):
  (tmp_path / "there.stablehlo").touch()
  request = deploy.Request(**{"format": "stablehlo", **options})
  with pytest.raises(errors.EnhanceError, match=message):
    deploy.export(bundle("espcn"), tmp_path / name, request)
  assert [path.name for path in tmp_path.iterdir()] == ["there.stablehlo"]


def test_an_artefact_that_differs_is_not_written(tmp_path, monkeypatch):
  program = stablehlo.program
  monkeypatch.setattr(
    stablehlo, "program", lambda b, dtype, size: program(b, "int8", size)
  )
  with pytest.raises(errors.EnhanceError, match="so it was not written"):
    write(tmp_path, bundle("compact"))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_loss_is_measured_against_truth_and_network(tmp_path, channels):
  generator = bundle("compact", channels=channels)
  sets = (write_set(tmp_path / "waves"),)
  _, metadata = write(tmp_path, generator, dtype="int8", sets=sets)
  loss = metadata["loss"]
  assert loss["protocol"].startswith("x2, float BT.601 luma, 2 px cropped")
  assert "bicubic" in loss["lr"]
  row = loss["sets"]["waves"]
  assert row["images"] == 2
  assert row["loss"] == pytest.approx(row["psnr_float32"] - row["psnr"])
  assert 0 < abs(row["loss"]) < 1 and 30 < row["psnr_to_float32"] < 80


def test_an_equal_artefact_loses_nothing(tmp_path):
  generator = bundle("espcn", scale=2)
  path, _ = write(tmp_path, generator)
  sets = [write_set(tmp_path / "waves")]
  loss = measured.loss(deploy.load(path), generator, sets, "y")
  row = loss["sets"]["waves"]
  assert abs(row["loss"]) < 1e-3 and float(row["psnr_to_float32"]) > 80
  (tmp_path / "waves" / "0.png").write_bytes(b"no picture")
  with pytest.raises(errors.EnhanceError, match="0.png"):
    measured.loss(deploy.load(path), generator, sets, "y")


@pytest.fixture
def weights(tmp_path):
  generator = bundle("compact")
  return zoo.save_generator(
    tmp_path / "net",
    model=generator.model,
    kwargs=generator.kwargs,
    variables=generator.variables,
    card={"generative": True},
  )


def test_the_command_writes_and_reports(weights, tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
  out = tmp_path / "net.stablehlo"
  command = [str(weights), "-o", str(out), "--format=stablehlo"]
  sets = write_set(tmp_path / "waves")
  assert export.main([*command, "--dtype=bfloat16", f"--sets={sets}"]) == 0
  told = capsys.readouterr().out
  assert "compact x2, stablehlo, " in told and "invented" in told
  assert "protocol: x2, " in told and "waves, 2 pictures: " in told
  assert told.endswith(f"written: {out}, {out}.json\n")
  assert deploy.load(out).metadata["weights_sha256"] == zoo.file_sha256(weights)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ([], "name one network"),
    (["a.safetensors", "--workdir=b"], "name one network"),
    (["a.safetensors"], "a.safetensors does not exist"),
    (["--workdir=nowhere"], "is no folder"),
    (["NET", "--size=4"], "wanted HEIGHTxWIDTH"),
    (["NET", "--size=0x4"], "wanted HEIGHTxWIDTH"),
    (["NET", "--scale=3"], "--scale=3 was wanted"),
  ],
)
def test_what_the_command_cannot_do_is_said(
  weights, tmp_path, monkeypatch, arguments, message
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
  given = [text.replace("NET", str(weights)) for text in arguments]
  with pytest.raises(errors.EnhanceError, match=message):
    export.main([*given, "-o", "x.stablehlo", "--format=stablehlo"])


def test_help_comes_without_waiting_for_jax():
  code = (
    "import sys, enhance_jax.export as door\n"
    "heavy = {'jax', 'flax', 'onnx', 'onnxruntime', 'matplotlib'}\n"
    "assert not heavy & set(sys.modules)\n"
    "door.main(['--help'])"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=runs.ROOT, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "examples:" in done.stdout and not done.stderr
