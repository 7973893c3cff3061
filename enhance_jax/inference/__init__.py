"""From weights and a photograph to an upscaled photograph."""
