"""Catalogue files: encoding, dialect, columns and rows, read as a stream.

`sources` opens a file: `lines` decodes and splits a text file, `workbook` reads an Excel sheet.
`columns` maps the header, `rows` reads the records, with `dates` in the form that was chosen,
`profile` proposes what a person may have overlooked, `staging` keeps the rows on disk until
they are applied, and `cells` guards cells against formulas.
"""

__all__ = [
    "cells",
    "columns",
    "dates",
    "lines",
    "profile",
    "rows",
    "sources",
    "staging",
    "workbook",
]
