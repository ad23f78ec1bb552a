"""From a file to samples: audio is decoded in a child process that may fail.

`reader` is the entry point. The child (`child`) decodes (`decoding`, `sound_file`) the formats
that `sniffing` recognises, answers over a pipe (`wire`) and shared memory (`shared_memory`),
mends mp3 files with wrong headers (`mp3_frames`) and measures peaks and loudness (`levels`).
`layout` finds the parts of a file (`formats`, `parts`); `mixing`, `cells` and `scaling` have
the rules for odd signals, and `playing` knows what browsers play.
`types` holds what goes in and comes out.
"""

__all__ = ["reader", "types"]
