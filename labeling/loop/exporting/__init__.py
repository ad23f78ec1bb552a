"""Export: answers are written as CSV files.

`export` writes a file in any of the formats. `tables` makes the formats with one row per
track.
"""

__all__ = ["export", "tables"]
