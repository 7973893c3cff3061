"""Image quality, always under a named protocol."""
