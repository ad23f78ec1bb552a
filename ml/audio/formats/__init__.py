"""The structure of sound files: what a file consists of, read from its bytes alone.

`tags` finds where sound begins and ends between tags and padding, `mp3_headers` reads MPEG
frame headers, and `flac`, `ogg` and `wav` find the parts of these files and what their headers
get wrong. Nothing is decoded here.
"""

__all__ = ["flac", "mp3_headers", "ogg", "tags", "wav"]
