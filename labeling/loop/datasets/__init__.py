"""Dataset snapshots: the answers to train on, as a hashed file.

`selection` defines what a snapshot may hold, `criteria` whose criteria are current, `read` and
`selected` read the answers, `aggregate` makes one label of several answers, `arrays` builds the
arrays, `snapshots` writes them, and `preview` counts without writing.
"""

__all__ = ["aggregate", "arrays", "criteria", "preview", "read", "selection", "snapshots"]
