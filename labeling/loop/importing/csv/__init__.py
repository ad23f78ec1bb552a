"""Catalogue files: encoding, dialect, columns and rows, read as a stream.

`lines` decodes and splits a file, `columns` maps its header, `rows` groups its records,
`staging` keeps them on disk until they are applied, and `cells` guards cells against formulas.
"""

__all__ = ["cells", "columns", "lines", "rows", "staging"]
