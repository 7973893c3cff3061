"""Tiny networks of every family with settled weights."""

from typing import Any

import jax
import numpy as np
from flax import traverse_util

from enhance_jax import registry, zoo

# A tiny one of each family.
OPTIONS: dict[str, dict[str, Any]] = {
  "interpolation": {"scale": 3},
  "sparse_coding": {"scale": 2, "atoms": 4, "back_projections": 1},
  "srcnn": {"scale": 2, "width": 4},
  "vdsr": {"scale": 3, "depth": 3, "width": 4},
  "espcn": {"scale": 3, "width": 4},
  "fsrcnn": {"scale": 3, "width": 4, "narrow": 2, "mappings": 1},
  "srez": {"scale": 2, "width": 8},
  "swish_resnet": {"scale": 2, "width": 4, "blocks": 1},
  "dcgan": {"scale": 2, "width": 4, "num_blocks": 2},
  "srresnet": {"scale": 4, "width": 4, "blocks": 1},
  "msrresnet": {"scale": 2, "width": 4, "blocks": 1},
  "edsr": {"scale": 3, "width": 4, "blocks": 1},
  "rrdb": {"scale": 4, "width": 4, "growth": 2, "blocks": 1},
  "compact": {"scale": 2, "width": 4, "convs": 2},
}


def bundle(model: str, **options: Any) -> zoo.Generator:
  """A generator whose results are of the size of pictures.

  Args:
    model: its name.
    **options: in place of, or beside, those of the table.
  """
  kwargs = {**OPTIONS[model], **options}
  module = registry.build(registry.GENERATORS, model, "generator", **kwargs)
  rng = np.random.default_rng(0)
  flat = {}
  for name, shape in zoo.expected_shapes(module).items():
    start = 1.0 if name.endswith(("scale", "var", "range")) else 0.0
    spread = 0.7 / np.sqrt(max(1, np.prod(shape[:-1])))
    flat[name] = np.float32(start + spread * rng.uniform(-1, 1, shape))
  return zoo.Generator(
    model=model,
    kwargs=kwargs,
    module=module,
    variables=traverse_util.unflatten_dict(flat, sep="/"),
    card={"generative": False, "phase": "pixel"},
    sha256="0" * 64,
  )


def picture(*shape: int, seed: int = 1) -> np.ndarray:
  """Noise in [0, 1]."""
  return np.random.default_rng(seed).random(shape, np.float32)


def result(generator: zoo.Generator, lr: np.ndarray) -> np.ndarray:
  """What the network itself makes of [N, h, w, C]."""

  def run(x: jax.Array) -> jax.Array:
    return generator.module.apply(generator.variables, x, train=False)

  return np.asarray(jax.jit(run)(lr))


def close(got: np.ndarray, wanted: np.ndarray, within: float = 1e-5) -> None:
  """Asserts equality up to a fraction of the peak, at 1 at least."""
  assert got.shape == wanted.shape
  peak = max(1.0, float(np.abs(wanted).max()))
  np.testing.assert_allclose(got, wanted, atol=within * peak, rtol=0)
