"""Export: answers leave as CSV.

`export` writes a file of any format, `tables` makes those with one row a track.
"""

__all__ = ["export", "tables"]
