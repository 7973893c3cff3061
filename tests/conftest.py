"""Shared test set-up: four CPU devices, strict ranks, warnings are errors."""

import os
import pathlib
import signal

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "4")
# Halves the compile time; runs in processes of their own do without.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
  # So it is in tests that a script runs in the background, and neither a shell
  # nor Python takes notice of what was ignored when it started.
  signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
  """The folder of real test data, or a skip that says how to get one."""
  value = os.environ.get("ENHANCE_DATA")
  if not value:
    pytest.skip("ENHANCE_DATA names no folder with the public test sets")
  return pathlib.Path(value).resolve()
