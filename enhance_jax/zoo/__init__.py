"""Portable weights: files with a model card, and what is made out of them.

Imports nothing heavy: JAX and safetensors are imported by the calls.
"""

from enhance_jax.zoo.blend import blend
from enhance_jax.zoo.files import (
  SUFFIX,
  Generator,
  expected_shapes,
  file_sha256,
  flatten,
  load_generator,
  save_generator,
  versions,
  write_atomic,
)
from enhance_jax.zoo.start import take

__all__ = [
  "SUFFIX",
  "Generator",
  "blend",
  "expected_shapes",
  "file_sha256",
  "flatten",
  "load_generator",
  "save_generator",
  "take",
  "versions",
  "write_atomic",
]
