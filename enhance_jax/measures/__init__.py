"""Metrics by name, ready to be measured; imports JAX only for a network."""

from enhance_jax.measures.files import fit_niqe
from enhance_jax.measures.named import DEFAULT, KINDS, Kind, Metrics

__all__ = ["DEFAULT", "KINDS", "Kind", "Metrics", "fit_niqe"]
