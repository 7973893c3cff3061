"""Photographs to training batches: sources, sampling, degradation."""
