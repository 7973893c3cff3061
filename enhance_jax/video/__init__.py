"""Enlarges videos through ffmpeg: every frame, its time, its sound."""
