"""Public state dicts: wrappers, orders of axes, and what is refused."""

import numpy as np
import pytest

from enhance_jax import errors
from enhance_jax.models import public


def test_the_averaged_network_is_read():
  tensors = {
    "params.a.weight": np.zeros(1),
    "params_ema.a.weight": np.ones(1),
    "params_ema.a.num_batches_tracked": np.ones(()),
  }
  state = public.StateDict(tensors, "a")
  assert list(state) == ["a.weight"]
  assert state.take("a.weight") == 1
  assert state.finish({}) == {"params": {}, "batch_stats": {}}


def test_parallel_wrappers_and_half_precision():
  tensors = {"module.a.weight": np.ones(2, np.float16)}
  assert public.StateDict(tensors, "a").take("a.weight").dtype == np.float32


def test_a_dense_layer_after_a_map_reads_channels_last():
  weight = np.arange(2 * 12.0).reshape(2, 12)
  tensors = {"fc.weight": weight, "fc.bias": np.zeros(2)}
  layer = public.StateDict(tensors, "fc").dense("fc", channels=3, side=2)
  image = np.random.default_rng(0).random((2, 2, 3))
  np.testing.assert_allclose(
    image.reshape(-1) @ layer["kernel"],
    weight @ image.transpose(2, 0, 1).reshape(-1),
  )


def test_what_is_missing_strange_or_left_over_is_named():
  tensors = {"a.weight": np.zeros((2, 2)), "b.bias": np.zeros(2)}
  state = public.StateDict(tensors, "a network")
  with pytest.raises(errors.EnhanceError, match="lacks c.weight; wanted a net"):
    state.conv("c")
  with pytest.raises(errors.EnhanceError, match=r"shape \(2, 2\)"):
    state.conv("a")
  with pytest.raises(errors.EnhanceError, match="b.bias"):
    state.finish({})
