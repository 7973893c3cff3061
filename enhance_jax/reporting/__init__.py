"""Reports of training runs: reading them, curves, tables, pages."""
