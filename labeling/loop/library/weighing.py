"""Facts about annotators and facets that decide how answers are combined."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from labeling.models import Annotator, Facet
from ml.consistency.facet_consensus import FacetLimits

#: Kinds of annotator; the judgement of a later kind replaces that of an earlier one.
PRECEDENCE = ("model", "legacy", "partner", "person", "reference")


def ranks_of(annotator_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the rank of each annotator by its kind; answers of the highest rank count."""
    kinds = dict(Annotator.objects.values_list("pk", "kind"))
    ranks = [PRECEDENCE.index(kinds[pk]) for pk in annotator_ids.tolist()]
    return np.array(ranks, dtype=np.intp)


def facet_limits(facet_ids: Iterable[int]) -> dict[int, FacetLimits]:
    """Return how many labels of each facet a track may carry."""
    rows = Facet.objects.filter(pk__in=set(facet_ids))
    return {
        pk: FacetLimits(min(least, most or least), most)
        for pk, least, most in rows.values_list("pk", "min_labels", "max_labels")
    }
