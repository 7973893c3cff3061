"""A local page that enlarges pictures: `python -m enhance_jax.app`.

Gradio draws it and FastAPI carries it. Nothing of it is imported before the
page is asked for, and no other room imports it.
"""
