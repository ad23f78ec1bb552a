"""Reliability: how often an annotator is right, over all facets, with an interval. Numpy only.

Stage: consistency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.consistency.overlap import FacetAccuracy
from ml.errors import ParameterError

#: Standard errors on either side of an interval of 95 %.
_WIDTH = 1.959964
#: With fewer overlapping answers nothing is said about an annotator.
ENOUGH_ANSWERS = 10


@dataclass(frozen=True)
class Reliability95:
    """Share of an annotator's answers that are right, with an interval of 95 %.

    Attributes
    ----------
    value : between 0 and 1. low, high : ends of the interval of 95 %.
    support : number of answers to tracks that others judged too, over all facets.
    """

    value: float
    low: float
    high: float
    support: int


def reliability_of(
    facets: Sequence[FacetAccuracy], annotators: Sequence[int]
) -> Reliability95 | None:
    """Return the reliability of one annotator: the mean over facets, by their answers.

    Parameters
    ----------
    facets : figures of each facet. annotators : the annotator's number in each of them.

    Returns
    -------
    Reliability95, or None with fewer than 10 overlapping answers.

    Raises
    ------
    ParameterError : the two have different lengths.

    Examples
    --------
    >>> genre = FacetAccuracy(np.array([0.8]), np.array([0.25]), np.array([100]))
    >>> found = reliability_of([genre], [0])
    >>> [round(one, 2) for one in (found.low, found.value, found.high)]
    [0.71, 0.8, 0.87]
    """
    if len(facets) != len(annotators):
        raise ParameterError(f"{len(facets)} facets and {len(annotators)} annotators")
    own = list(zip(facets, annotators, strict=True))
    n = np.array([facet.support[who] for facet, who in own])
    if n.sum() < ENOUGH_ANSWERS:
        return None
    own = [one for one, has_any in zip(own, n > 0, strict=True) if has_any]
    share = n[n > 0] / n.sum()
    values = np.array([facet.values[who] for facet, who in own])
    errors = np.array([facet.errors[who] for facet, who in own]) * values * (1 - values)
    value = float(np.clip(share @ values, 1e-6, 1 - 1e-6))
    # Facets are fitted apart, so their errors are independent.
    error = float(np.sqrt(((share * errors) ** 2).sum())) / (value * (1 - value))
    centre = np.log(value) - np.log1p(-value)
    low, high = (1 / (1 + np.exp(-(centre + side * _WIDTH * error))) for side in (-1, 1))
    return Reliability95(value, float(low), float(high), int(n.sum()))
