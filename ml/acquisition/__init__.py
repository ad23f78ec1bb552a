"""Acquisition strategies: which tracks of a pool to ask about next.

`strategies` scores and chooses, `distances` measures distances between tracks.
"""

__all__ = ["distances", "strategies"]
