"""Catalogues as CSV: reading what spreadsheets write, and writing what they may read.

`lines` knows encodings and delimiters, `columns` what each column means, `rows` turns a record
into what it says, `staging` keeps it on disk until all of it is known, `cells` guards cells
that a spreadsheet would run as a formula. Nothing in here knows the database.
"""
