"""Arrays of a snapshot as cells."""

from __future__ import annotations

import numpy as np

from labeling.loop.datasets.arrays import build_arrays
from labeling.loop.datasets.selection import Selection

Y, N, U = 1, 0, -1


def cells(frozen):
    """Return the matrix as rows of 1 yes, 0 no, -1 not judged."""
    return np.where(frozen.matrix.label_mask, frozen.matrix.labels.astype(int), -1).tolist()


def frozen(library, **selection):
    return build_arrays(library, Selection(**{"min_support": 1, **selection}))
