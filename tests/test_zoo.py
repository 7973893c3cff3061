"""Portable weights: what is written comes back, what is damaged is refused."""

import hashlib
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from enhance_jax import errors, zoo
from enhance_jax.models import srresnet

KWARGS = {"scale": 2, "width": 4, "blocks": 1}
CARD = {"generative": True, "phase": "gan", "steps": 7, "data": "a folder"}


@pytest.fixture(scope="module")
def variables():
  rng = np.random.default_rng(3)
  shapes = zoo.expected_shapes(srresnet.Generator(**KWARGS))
  flat = {k: jnp.asarray(rng.random(s), jnp.float32) for k, s in shapes.items()}
  return traverse_util.unflatten_dict(flat, sep="/")


@pytest.fixture
def saved(tmp_path, variables):
  return zoo.save_generator(
    tmp_path / "generator.gan",
    model="srresnet",
    kwargs=KWARGS,
    variables=variables,
    card=CARD,
  )


def test_every_array_comes_back_to_the_bit(saved, variables):
  loaded = zoo.load_generator(saved)
  jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)
  assert set(loaded.variables) == {"params", "batch_stats"}
  assert loaded.module == srresnet.Generator(**KWARGS)
  assert (loaded.model, loaded.kwargs) == ("srresnet", KWARGS)


def test_the_file_is_plain_safetensors_with_the_card_inside(saved):
  assert saved.name == "generator.gan.safetensors"
  with safe_open(saved, framework="numpy") as file:
    card = json.loads(file.metadata()["card"])
    assert "params/conv_in/kernel" in file.keys()
    assert "batch_stats/norm_mid/mean" in file.keys()
    kernel = file.get_tensor("params/conv_in/kernel")
  assert kernel.dtype == np.float32 and kernel.shape == (9, 9, 3, 4)
  module = srresnet.Generator(**KWARGS)
  assert card["scale"] == 2 and card["channels"] == 3
  assert card["radius"] == module.radius
  assert card["versions"]["jax"] == jax.__version__
  assert {key: card[key] for key in CARD} == CARD


def test_the_card_beside_it_is_the_same_and_has_the_digest(saved):
  beside = json.loads(saved.with_name("generator.gan.json").read_text())
  digest = hashlib.sha256(saved.read_bytes()).hexdigest()
  assert beside.pop("sha256") == digest
  loaded = zoo.load_generator(saved)
  assert loaded.card == beside and loaded.sha256 == digest


def test_the_file_alone_suffices(saved, tmp_path):
  alone = tmp_path / "elsewhere.safetensors"
  alone.write_bytes(saved.read_bytes())
  assert zoo.load_generator(alone).card["phase"] == "gan"


def test_types_of_low_precision_are_stored_as_float32(tmp_path, variables):
  half = jax.tree.map(lambda x: x.astype("bfloat16"), variables)
  path = zoo.save_generator(
    tmp_path / "half",
    model="srresnet",
    kwargs=KWARGS,
    variables=half,
    card=CARD,
  )
  for leaf in load_file(path).values():
    assert leaf.dtype == np.float32


def test_a_card_must_say_whether_detail_is_invented(tmp_path, variables):
  with pytest.raises(ValueError, match="generative"):
    zoo.save_generator(
      tmp_path / "x",
      model="srresnet",
      kwargs=KWARGS,
      variables=variables,
      card={},
    )


def rewrite(path, change):
  """Changes tensors and card of a file, which then has no card beside it."""
  with safe_open(path, framework="numpy") as file:
    card = json.loads(file.metadata()["card"])
  tensors = load_file(path)
  change(tensors, card)
  save_file(tensors, path, metadata={"card": json.dumps(card)})
  path.with_name("generator.gan.json").unlink()


def rename(tensors, card):
  tensors["params/conv_first/kernel"] = tensors.pop("params/conv_in/kernel")
  tensors["params/conv_out/bias"] = np.zeros(5, np.float32)


def widen(tensors, card):
  card["kwargs"]["width"] = 8


def spoil(tensors, card):
  tensors["params/conv_in/bias"][1] = np.inf


def forget(tensors, card):
  del card["kwargs"]


def unknown(tensors, card):
  card["model"] = "srresnt"


def option(tensors, card):
  card["kwargs"] = {"table": 3}


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (rename, r"missing: params/conv_in/kernel; unexpected: params/conv_first"),
    (rename, r"params/conv_out/bias is \[5\], wanted \[3\]"),
    (widen, r"shape: batch_stats/.* is \[4\], wanted \[8\].* and \d+ more"),
    (spoil, "params/conv_in/bias holds NaN or infinity"),
    (forget, "its model card lacks kwargs"),
    (unknown, 'did you mean "srresnet"'),
    (option, "cannot be built"),
  ],
)
def test_what_does_not_fit_is_listed(saved, change, message):
  rewrite(saved, change)
  with pytest.raises(errors.EnhanceError, match=message) as caught:
    zoo.load_generator(saved)
  assert saved.name in str(caught.value)


@pytest.mark.parametrize(
  "damage",
  [
    lambda data: b"",
    lambda data: data[:4],
    lambda data: data[: len(data) // 2],
    lambda data: data[:-1],
    lambda data: b"<!DOCTYPE html><title>404</title>",
    lambda data: b"\xff" * 64 + data,
  ],
)
def test_damaged_files_are_refused_by_name(saved, damage):
  saved.write_bytes(damage(saved.read_bytes()))
  with pytest.raises(errors.EnhanceError, match="damaged or replaced"):
    zoo.load_generator(saved)
  saved.with_name("generator.gan.json").unlink()
  with pytest.raises(errors.EnhanceError, match=saved.name):
    zoo.load_generator(saved)


def test_one_flipped_bit_is_found_by_the_digest(saved):
  data = bytearray(saved.read_bytes())
  data[-100] ^= 1
  saved.write_bytes(data)
  with pytest.raises(errors.EnhanceError, match="damaged or replaced"):
    zoo.load_generator(saved)


def test_a_file_without_a_card_is_refused(tmp_path):
  path = tmp_path / "other.safetensors"
  save_file({"a": np.zeros(2, np.float32)}, path)
  with pytest.raises(errors.EnhanceError, match="no model card"):
    zoo.load_generator(path)


def test_an_interrupted_write_leaves_the_old_file(
  saved, variables, monkeypatch
):
  before = saved.read_bytes()

  def full(source, target):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(os, "replace", full)
  with pytest.raises(errors.EnhanceError, match="No space left"):
    zoo.save_generator(
      saved,
      model="srresnet",
      kwargs=KWARGS,
      variables=jax.tree.map(lambda x: 2 * x, variables),
      card=CARD,
    )
  assert saved.read_bytes() == before
  assert [path.name for path in saved.parent.iterdir()] == [saved.name]
  assert zoo.load_generator(saved).card["steps"] == 7


def test_variables_of_another_network_are_not_saved(tmp_path, variables):
  with pytest.raises(errors.EnhanceError, match="missing: .*block_01"):
    zoo.save_generator(
      tmp_path / "x",
      model="srresnet",
      kwargs={**KWARGS, "blocks": 2},
      variables=variables,
      card=CARD,
    )
  assert not list(tmp_path.iterdir())


def test_scales_that_the_weights_cannot_serve_are_not_written(
  tmp_path, variables
):
  def save(scales):
    return zoo.save_generator(
      tmp_path / "x",
      model="srresnet",
      kwargs=KWARGS,
      variables=variables,
      card={**CARD, "scales": scales},
    )

  with pytest.raises(ValueError, match="lack the scale 2"):
    save([3, 4])
  # A sub-pixel stage of scale 3 has more channels.
  with pytest.raises(
    errors.EnhanceError, match=r'"srresnet" at scale 3: .*conv_up_0'
  ):
    save([2, 3])
  assert not list(tmp_path.iterdir())
  assert zoo.load_generator(save([2]), scale=2).kwargs["scale"] == 2


def test_a_warm_start_takes_what_fits(saved, variables):
  wider = srresnet.Generator(**{**KWARGS, "scale": 3, "blocks": 2})
  fresh = traverse_util.unflatten_dict(
    {k: np.ones(s, np.float32) for k, s in zoo.expected_shapes(wider).items()},
    sep="/",
  )
  start, taken, left = zoo.take(saved, fresh)
  assert jax.tree.structure(start) == jax.tree.structure(fresh)
  old, new = zoo.flatten(variables), zoo.flatten(start)
  before = zoo.flatten(fresh)
  assert set(taken) | set(left) == set(new) and not set(taken) & set(left)
  assert taken == sorted(taken) and left == sorted(left)
  for name in taken:
    np.testing.assert_array_equal(new[name], old[name])
  for name in left:
    np.testing.assert_array_equal(new[name], before[name])
  assert "params/conv_in/kernel" in taken
  assert "batch_stats/block_00/norm_1/mean" in taken
  # Another shape, and a name that the file does not have.
  assert "params/conv_up_0/kernel" in left
  assert "params/block_01/conv_1/kernel" in left


def test_a_warm_start_keeps_types_and_empty_collections(saved, variables):
  half = jax.tree.map(lambda x: x.astype("bfloat16"), variables["params"])
  start, _, left = zoo.take(saved, {"params": half, "batch_stats": {}})
  assert start["params"]["conv_in"]["kernel"].dtype == "bfloat16"
  assert start["batch_stats"] == {} and left == []


def test_a_warm_start_that_takes_nothing_is_refused(saved):
  with pytest.raises(
    errors.EnhanceError, match=r"wanted params/other \[3\]"
  ) as caught:
    zoo.take(saved, {"params": {"other": np.zeros(3, np.float32)}})
  assert saved.name in str(caught.value)
