"""A run of `facedet predict`: sources in, one frame at a time; files and printed lines out."""
