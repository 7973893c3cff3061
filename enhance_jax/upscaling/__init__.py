"""What the command `upscale` does, step by step; `upscale` is its door."""
