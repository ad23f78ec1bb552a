"""Catalogue files: encoding, dialect, columns and rows, read as a stream.

`encoding` detects how a file is encoded, with `plausible` as its judge, `lines` decodes it,
`header` finds its dialect and columns, `records` splits it, `columns` maps its header, `rows`
groups its records, `staging` keeps them on disk until they are applied, and `cells` knows what
spreadsheets do to cells.
"""

__all__ = [
    "cells",
    "columns",
    "encoding",
    "header",
    "lines",
    "plausible",
    "records",
    "rows",
    "staging",
]
