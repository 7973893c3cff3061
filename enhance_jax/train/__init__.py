"""Phases, steps, state and the loop."""
