"""Weights of the ImageNet networks: found, checked, and told apart."""

import numpy as np
import pytest

from enhance_jax import backbones, errors
from enhance_jax.models import vgg
from tests.weight_files import (
  VGG_INDICES,
  digest,
  vgg_arrays,
  write_arrays,
  write_named,
  write_vgg,
)


def alexnet_arrays():
  """A narrow AlexNet in torchvision's layout."""
  arrays, channels = {}, 3
  for index, size, out in ((0, 11, 4), (3, 5, 3), (6, 3, 2), (8, 3, 2)):
    weight = np.full((out, channels, size, size), index, np.float32)
    arrays[f"features.{index}.weight"] = weight
    arrays[f"features.{index}.bias"] = np.full(out, index, np.float32)
    channels = out
  arrays["features.10.weight"] = np.ones((5, 2, 3, 3), np.float32)
  arrays["features.10.bias"] = np.ones(5, np.float32)
  return arrays


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_vgg19_from_the_cache(tmp_path, monkeypatch, suffix):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
  write_vgg(tmp_path, suffix)
  # Of the same family, but another network.
  write_arrays(tmp_path / "vgg19_bn-c79401a0.npz", {"a": np.zeros(1)})
  params = backbones.find("vgg19")
  arrays = vgg_arrays()
  assert tuple(params) == vgg.CONVOLUTIONS["vgg19"]
  for name, index in zip(params, VGG_INDICES["vgg19"], strict=True):
    np.testing.assert_array_equal(
      params[name]["kernel"],
      arrays[f"features.{index}.weight"].transpose(2, 3, 1, 0),
    )
    np.testing.assert_array_equal(
      params[name]["bias"], arrays[f"features.{index}.bias"]
    )
    assert params[name]["kernel"].dtype == np.float32


def test_from_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.delenv("ENHANCE_CACHE", raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  folder = tmp_path / ".cache" / "enhance_jax"
  folder.mkdir(parents=True)
  write_named(folder, "vgg16", ".npz", vgg_arrays("vgg16"))
  write_named(folder, "alexnet-owt", ".npz", alexnet_arrays())
  assert tuple(backbones.find("vgg16")) == vgg.CONVOLUTIONS["vgg16"]
  params = backbones.find("alexnet")
  assert params["conv1"]["kernel"].shape == (11, 11, 3, 4)
  assert params["conv2"]["kernel"].shape == (5, 5, 4, 3)
  assert params["conv5"]["bias"].tolist() == [1.0] * 5


def test_explicit_path_wins(tmp_path, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "empty"))
  assert len(backbones.find("vgg19", write_vgg(tmp_path))) == 16


def test_two_files_are_not_chosen_from(tmp_path, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
  for name in ("squeezenet_v1.1_notop.npz", "squeezenet1_1-b8a52dc0.pth"):
    write_arrays(tmp_path / name, {"a": np.zeros(1, np.float32)})
  # Version 1.0 is another network.
  write_arrays(tmp_path / "squeezenet1_0-b66bff10.pth", {"a": np.zeros(1)})
  with pytest.raises(errors.EnhanceError, match="several SqueezeNet 1.1") as e:
    backbones.find("squeezenet")
  assert "squeezenet1_1-b8a52dc0.pth, squeezenet_v1.1_notop.npz" in str(e.value)
  assert "squeezenet1_0" not in str(e.value)
  assert "config.squeezenet.weights" in str(e.value)


@pytest.mark.parametrize(
  ("network", "file"),
  [
    ("vgg19", "vgg19-dcbb9e9d.pth"),
    ("vgg16", "vgg16-397923af.pth"),
    ("alexnet", "alexnet-owt-7be5be79.pth"),
    ("squeezenet", "squeezenet1_1-b8a52dc0.pth"),
  ],
)
def test_absent_says_how_to_get_it(tmp_path, monkeypatch, network, file):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
  with pytest.raises(errors.EnhanceError) as caught:
    backbones.find(network)
  for words in (file, "ENHANCE_CACHE", "MB, from download.pytorch.org"):
    assert words in str(caught.value)
  with pytest.raises(errors.EnhanceError, match="there is no .*mine.npz"):
    backbones.find(network, tmp_path / "mine.npz")


def test_absent_names_the_setting(tmp_path, monkeypatch):
  monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
  with pytest.raises(errors.EnhanceError, match=r"config\.vgg\.weights"):
    backbones.find("vgg19")


def test_digests(tmp_path):
  path = write_vgg(tmp_path)
  right = digest(path)
  assert backbones.find("vgg19", path, right.upper())
  with pytest.raises(errors.EnhanceError, match=f"{right}; wanted {'0' * 64}"):
    backbones.find("vgg19", path, "0" * 64)
  # The digest given outweighs the one in the name.
  wrong = path.rename(tmp_path / "vgg19-00000000.npz")
  assert backbones.find("vgg19", wrong, right)
  with pytest.raises(errors.EnhanceError, match="as its name says"):
    backbones.find("vgg19", wrong)
  # A name without a digest promises nothing.
  assert backbones.find("vgg19", wrong.rename(tmp_path / "mine.npz"))


def test_other_architectures_are_not_vgg19(tmp_path):
  arrays = vgg_arrays()
  deep = {
    name: array
    for name, array in arrays.items()
    if not name.startswith("features.34")
  }
  wide = {**arrays, "features.2.weight": np.zeros((3, 9, 3, 3), np.float32)}
  large = {**arrays, "features.0.weight": np.zeros((2, 3, 5, 5), np.float32)}
  bias = {**arrays, "features.5.bias": np.zeros((9,), np.float32)}
  for broken, words in (
    (deep, r"not VGG19: .*features.34.weight or .bias \(VGG19 conv5_4\)"),
    (wide, r"features.2 \(VGG19 conv1_2\).*\(3, 9, 3, 3\)"),
    (large, r"features.0 \(VGG19 conv1_1\)"),
    (bias, r"features.5 \(VGG19 conv2_1\)"),
    (vgg_arrays("vgg16"), r"features.16.weight or .bias \(VGG19 conv3_4\)"),
  ):
    path = write_vgg(tmp_path, arrays=broken)
    with pytest.raises(errors.EnhanceError, match=words) as caught:
      backbones.find("vgg19", path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("network", ["vgg16", "alexnet", "squeezenet"])
def test_vgg19_is_no_other_network(tmp_path, network):
  with pytest.raises(errors.EnhanceError, match="this is not"):
    backbones.find(network, write_vgg(tmp_path))


def test_unknown_network():
  with pytest.raises(errors.EnhanceError, match='"vgg18".*did you mean "vgg1'):
    backbones.find("vgg18")


def test_features_run_the_network_of_that_name(tmp_path):
  path = write_named(tmp_path, "vgg16", ".npz", vgg_arrays("vgg16"))
  params = backbones.find("vgg16", path)
  x = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
  found = backbones.features("vgg16", params, x, ["relu2_1"])
  expected = vgg.features(params, x, ["relu2_1"], network="vgg16")
  np.testing.assert_array_equal(found["relu2_1"], expected["relu2_1"])
  with pytest.raises(errors.EnhanceError, match='VGG16 has no tap "relu3_4"'):
    backbones.features("vgg16", params, x, ["relu3_4"])
