"""ONNX models in onnxruntime: the same pixels, small types, what is refused."""

import collections
import json
import logging
import sys

import jax
import numpy as np
import pytest

from enhance_jax import deploy, errors, images
from enhance_jax.models import compact
from tests.tiny_networks import OPTIONS, bundle, close, picture, result

onnx = pytest.importorskip("onnx", reason="the extra `deploy` is absent")
pytest.importorskip("onnxruntime", reason="the extra `deploy` is absent")

from enhance_jax.deploy import (  # noqa: E402
  fuse,
  onnx_model,
  operators,
  smaller,
  steps,
)
from enhance_jax.deploy.graph import Graph  # noqa: E402

WRITTEN = [name for name in OPTIONS if name != "sparse_coding"]


def loaded(proto):
  return onnx_model.load(proto.SerializeToString())


def operations(proto):
  return collections.Counter(node.op_type for node in proto.graph.node)


def same_pixels(got, wanted):
  """As uint8, but for values so near to a half that any order of sums decides.

  Both are float32 results of sums of a few hundred products.
  """
  pixels = wanted * 255
  near = np.abs(pixels % 1 - 0.5) < 255e-5 * max(1.0, np.abs(wanted).max())
  equal = images.to_uint8(got) == images.to_uint8(wanted)
  assert np.all(equal | near) and np.mean(near) < 0.1


@pytest.mark.parametrize("name", WRITTEN)
def test_a_model_gives_the_network_s_pixels_at_every_size(name):
  generator = bundle(name)
  run = loaded(onnx_model.model(generator, None))
  for shape in [(2, 5, 7), (1, 1, 1), (1, 12, 3)]:
    lr = picture(*shape, generator.module.channels)
    wanted = result(generator, lr)
    got = run(lr)
    close(got, wanted)
    same_pixels(got, wanted)


@pytest.mark.parametrize(
  ("name", "options"),
  [
    ("rrdb", {"scale": 2}),
    ("rrdb", {"scale": 1}),
    ("edsr", {"scale": 4, "residual_scale": 0.1}),
    ("srresnet", {"scale": 2, "prelu": "scalar", "output": "tanh"}),
    ("compact", {"scale": 4, "activation": "leaky_relu"}),
    ("compact", {"scale": 1, "activation": "relu", "channels": 1}),
    ("espcn", {"padding": "replicate"}),
    ("srcnn", {"padding": "zeros", "middle": 5}),
    ("srcnn", {"scale": 1}),
    ("interpolation", {"kernel": "nearest"}),
    ("interpolation", {"kernel": "lanczos", "scale": 2}),
  ],
)
def test_options_of_networks_too(name, options):
  generator = bundle(name, **options)
  run = loaded(onnx_model.model(generator, None))
  for shape in [(1, 2, 1), (1, 5, 7)]:
    lr = picture(*shape, generator.module.channels)
    close(run(lr), result(generator, lr))


@pytest.mark.parametrize(
  ("name", "expected"),
  [
    (
      "compact",
      {"Conv": 4, "PRelu": 3, "DepthToSpace": 1, "Resize": 1, "Add": 1},
    ),
    ("srresnet", {"Conv": 7, "PRelu": 4, "DepthToSpace": 2, "Add": 2}),
    ("espcn", {"Conv": 3, "Tanh": 2, "DepthToSpace": 1}),
  ],
)
def test_the_graph_is_that_of_a_hand(name, expected):
  # No transposition, no norm, no comparison: what a person would write.
  generator = bundle(name)
  assert operations(onnx_model.model(generator, None)) == expected


def test_a_model_takes_planes_and_says_what_it_is():
  proto = onnx_model.model(bundle("edsr"), None)
  sides = [
    [
      side.dim_param or side.dim_value
      for side in value.type.tensor_type.shape.dim
    ]
    for value in (*proto.graph.input, *proto.graph.output)
  ]
  assert sides == [
    ["batch", 3, "height", "width"],
    ["batch", 3, "height_out", "width_out"],
  ]
  known = {prop.key: prop.value for prop in proto.metadata_props}
  assert (known["scale"], known["channels"], known["color"]) == (
    "3",
    "3",
    "RGB",
  )
  assert known["weights_sha256"] == "0" * 64 and known["layout"] == "NCHW"
  assert json.loads(known["card"])["phase"] == "pixel"
  assert proto.opset_import[0].version == 17


def test_a_size_can_be_fixed(tmp_path):
  generator, path = bundle("msrresnet"), tmp_path / "net.onnx"
  request = deploy.Request(format="onnx", size=(6, 5))
  metadata = deploy.export(generator, path, request)
  assert metadata["input"]["shape"] == [1, 3, 6, 5]
  assert metadata["output"]["shape"] == [1, 3, 12, 10]
  lr = picture(1, 6, 5, 3)
  close(deploy.load(path)(lr), result(generator, lr))


@pytest.mark.parametrize(
  ("name", "options", "message"),
  [
    ("sparse_coding", {}, "plans its work by the size"),
    ("srez", {"batch_statistics": True}, "--format=stablehlo"),
  ],
)
def test_what_has_no_onnx_is_said(name, options, message):
  with pytest.raises(errors.EnhanceError, match=message):
    onnx_model.model(bundle(name, **options), None)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(
    errors.EnhanceError, match=rf"{package} is not .*deploy\]"
  ):
    deploy.export(
      bundle("espcn"), tmp_path / "a.onnx", deploy.Request(format="onnx")
    )
  assert not list(tmp_path.iterdir())


def test_a_damaged_model_is_refused():
  with pytest.raises(errors.EnhanceError, match="does not read this model"):
    onnx_model.load(b"no model")


def test_bfloat16_kernels_are_half_as_large(tmp_path):
  generator, path = bundle("vdsr", width=32), tmp_path / "half.onnx"
  request = deploy.Request(format="onnx", dtype="bfloat16")
  metadata = deploy.export(generator, path, request)
  whole = len(onnx_model.model(generator, None).SerializeToString())
  assert metadata["bytes"] < 0.6 * whole
  lr = picture(1, 5, 6, 1)
  difference = np.abs(deploy.load(path)(lr) - result(generator, lr)).max()
  # Half of the last of bfloat16's eight bits, averaged over a few hundred.
  assert 1e-5 < difference < 4e-3


def trained_for_integers():
  """A network whose ranges are known, from two batches."""
  generator = bundle("compact", width=8, quantize="int8")
  variables = generator.variables
  for seed in (1, 2):
    _, moved = generator.module.apply(
      variables, picture(2, 9, 9, 3, seed=seed), train=True, mutable=True
    )
    variables = {**variables, "batch_stats": moved["batch_stats"]}
  generator.variables.update(jax.tree.map(np.asarray, variables))
  return generator


def test_trained_integers_give_what_the_training_saw(tmp_path):
  generator, path = trained_for_integers(), tmp_path / "int8.onnx"
  request = deploy.Request(format="onnx", dtype="int8")
  metadata = deploy.export(generator, path, request)
  assert "trained integers" in metadata["arithmetic"]
  kernels = [
    onnx.numpy_helper.to_array(tensor)
    for tensor in onnx.load(path).graph.initializer
    if tensor.name.endswith("kernel_integers")
  ]
  layers = compact.export_int8(generator.variables).values()
  assert len(kernels) == len(layers) == 4
  for kernel, layer in zip(kernels, layers, strict=True):
    np.testing.assert_array_equal(kernel.transpose(2, 3, 1, 0), layer["kernel"])
  # Eight-bit pictures: others are rounded at the door, a level up or down.
  lr = images.to_float(images.to_uint8(picture(1, 11, 7, 3)))
  difference = np.abs(deploy.load(path)(lr) - result(generator, lr))
  # A sum next to a half may round to the next integer: few pixels, one step.
  assert np.mean(difference > 1e-5) < 0.02 and difference.max() < 0.02


def test_integers_without_ranges_are_refused():
  generator = bundle("compact", quantize="int8")
  stats = generator.variables["batch_stats"]
  stats.update(jax.tree.map(np.zeros_like, stats))
  with pytest.raises(errors.EnhanceError, match="is not known"):
    smaller.trained(generator, None)


def test_calibrated_integers_are_near_and_small(tmp_path, caplog):
  generator, path = bundle("srresnet", width=16), tmp_path / "int8.onnx"
  for i in range(3):
    pixels = images.to_uint8(picture(64, 72, 3, seed=i))
    (tmp_path / "photographs").mkdir(exist_ok=True)
    name = tmp_path / "photographs" / f"{i}.png"
    images.write_picture(name, images.Picture(pixels))
  with caplog.at_level(logging.WARNING):
    metadata = deploy.export(
      generator,
      path,
      deploy.Request(
        format="onnx",
        dtype="int8",
        calibrate=str(tmp_path / "photographs"),
        sets=(str(tmp_path / "photographs"),),
      ),
    )
  assert not caplog.records
  assert "ranges seen on 3 photographs" in metadata["arithmetic"]
  row = metadata["loss"]["sets"]["photographs"]
  assert row["images"] == 3 and 30 < row["psnr_to_float32"] < 80
  proto = onnx.load(path)
  whole = onnx_model.model(generator, None)
  assert metadata["bytes"] < 0.6 * len(whole.SerializeToString())
  assert {p.key for p in proto.metadata_props} == {
    p.key for p in whole.metadata_props
  }
  (tmp_path / "nothing").mkdir()
  with pytest.raises(errors.EnhanceError, match="holds no pictures"):
    smaller.photographs(tmp_path / "nothing", generator)


def test_open_sizes_are_computed_as_written():
  graph = Graph()
  graph.sides.update({"h": "h", "w": "w"})
  texts = ["h", "2*h + 4", "-1*h + w", "3*h*w - 5"]
  names = [graph.side(text) for text in texts]
  assert graph.side("2*h + 4") == names[1]
  numbers = [graph.one("Identity", name) for name in names]
  run = onnx.reference.ReferenceEvaluator(
    onnx.helper.make_model(
      onnx.helper.make_graph(
        graph.nodes,
        "sizes",
        [onnx.helper.make_tensor_value_info(n, 7, []) for n in "hw"],
        [onnx.helper.make_tensor_value_info(n, 7, []) for n in numbers],
        [
          onnx.numpy_helper.from_array(value, name)
          for name, value in graph.constants.items()
        ],
      )
    )
  )
  got = run.run(None, {"h": np.int64(3), "w": np.int64(7)})
  assert [int(value) for value in got] == [3, 10, 4, 58]
  with pytest.raises(errors.EnhanceError, match="for which no ONNX"):
    graph.side("floordiv(h, 2)")


def test_an_unknown_step_is_named():
  ref = steps.Ref((1,), np.dtype(np.float32))
  with pytest.raises(errors.EnhanceError, match='computes "fft"'):
    operators.emit(Graph(), steps.Step("fft", [ref], [ref], {}))


def test_a_convolution_used_twice_is_left_alone():
  # The scale must not get into a convolution whose plain result is used too.
  lr, y, z, sr = (steps.Ref((1, 4, 4, 2), np.dtype(np.float32)) for _ in "1234")
  two = steps.Ref((), np.dtype(np.float32), np.array(2.0))
  params = {"kernel": np.ones((1, 1, 2, 2)), "bias": np.zeros(2)}
  program = steps.Program(
    lr,
    [
      steps.Step("conv", [lr], [y], params),
      steps.Step("mul", [y, two], [z], {}),
      steps.Step("add", [y, z], [sr], {}),
    ],
    sr,
  )
  assert [step.op for step in fuse.fuse(program).steps] == [
    "conv",
    "mul",
    "add",
  ]
  program.steps[2].inputs = [lr, z]
  fused = fuse.fuse(program).steps
  assert [step.op for step in fused] == ["conv", "add"]
  assert fused[0].params["kernel"].max() == 2
