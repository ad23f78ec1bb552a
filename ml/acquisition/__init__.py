"""Acquisition strategies: which tracks of a pool to ask about next.

`strategies` scores and chooses, `distances` measures how far tracks lie apart.
"""

__all__ = ["distances", "strategies"]
