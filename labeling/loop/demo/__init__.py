"""Demo library: simulated curators and an older catalogue with its labels.

`library` plans and builds it, `answers` writes the curators' answers, and `words` contains its
texts.
"""

__all__ = ["library"]
