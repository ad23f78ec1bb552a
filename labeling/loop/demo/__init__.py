"""The demo library: simulated curators and the catalogue that they inherited.

`library` plans and builds it, `answers` writes the curators' answers, `words` holds its texts.
"""

__all__ = ["library"]
