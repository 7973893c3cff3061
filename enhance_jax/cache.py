"""Where this machine keeps what is slow to make again: compiled programs."""

import os
import pathlib


def cache_dir() -> pathlib.Path:
  """The user's cache folder: $ENHANCE_CACHE, else ~/.cache/enhance_jax."""
  value = os.environ.get("ENHANCE_CACHE")
  if value:
    return pathlib.Path(value).expanduser()
  return pathlib.Path.home() / ".cache" / "enhance_jax"


def enable_compilation_cache() -> pathlib.Path | None:
  """Makes JAX keep compiled programs between processes.

  A folder that JAX was already given (its own flag or environment) stays.

  Returns:
    the folder in use, or None where it cannot be written: the commands then
    work as well, and only compile anew each time.
  """
  import jax

  chosen = jax.config.jax_compilation_cache_dir  # pyright: ignore
  if chosen:
    return pathlib.Path(chosen)
  folder = cache_dir() / "xla"
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError:
    return None
  if not os.access(folder, os.W_OK | os.X_OK):
    return None
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # By default only what took a second to compile is kept.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
  return folder
