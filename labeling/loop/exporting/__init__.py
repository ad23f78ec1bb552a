"""Export: answers are written as CSV files.

`export` writes a file in any of the formats. `tables` makes the catalogue and `consensus` the
labels that several annotators agree on.
"""

__all__ = ["consensus", "export", "tables"]
