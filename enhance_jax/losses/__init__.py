"""Losses: pure, per image; weighed and named in one place."""
