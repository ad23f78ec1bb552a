"""Undo of an import: what it added is previewed in numbers, then taken back.

`undoing` is the way in. `plan` says for some tracks which answers are retracted and which
tracks are withdrawn, `leftovers` says it for labels and annotators, and `counts` holds the
numbers and what is kept.
"""

__all__ = ["counts", "undoing"]
