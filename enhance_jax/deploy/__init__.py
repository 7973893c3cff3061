"""Networks as files for other runtimes: StableHLO and ONNX.

`export` writes an artefact and its sidecar, `load` reads them back. Nothing
heavy is imported before a call needs it.
"""

from enhance_jax.deploy.artefact import SUFFIXES, Deployed, load
from enhance_jax.deploy.writing import DTYPES, FORMATS, Request, export

__all__ = [
  "DTYPES",
  "FORMATS",
  "SUFFIXES",
  "Deployed",
  "Request",
  "export",
  "load",
]
