"""Catalogue files: encoding, dialect, columns and rows, read as a stream.

`sources` opens a file: a text file, which `encoding` decodes with `plausible` as its judge,
`lines` bounds, `header` finds the dialect and columns of, and `records` splits; or the sheet of
a `workbook`. `columns` maps the header, `rows` reads the records, with `dates` in the form that
was chosen, `profile` proposes what a person may have overlooked, `staging` keeps the rows on
disk until they are applied, and `cells` knows what spreadsheets do to cells.
"""

__all__ = [
    "cells",
    "columns",
    "dates",
    "encoding",
    "header",
    "lines",
    "plausible",
    "profile",
    "records",
    "rows",
    "sources",
    "staging",
    "workbook",
]
