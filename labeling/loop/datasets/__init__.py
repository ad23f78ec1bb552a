"""Dataset snapshots: the answers that a model is trained on, as a hashed file.

`selection` defines which answers a snapshot takes, and `criteria` determines whose criteria are
current. `read` and `selected` read the answers, `aggregate` combines those of several
annotators, `arrays` builds the arrays, `snapshots` stores them, and `preview` counts without
storing.
"""

__all__ = ["aggregate", "arrays", "criteria", "preview", "read", "selection", "snapshots"]
