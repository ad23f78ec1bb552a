"""Jackknife: the bias of a figure and its t interval, from leaving out one block at a time.

Stage: evaluation. Numpy only. Sources: Quenouille, "Notes on bias in estimation", Biometrika
43, 1956; Tukey, "Bias and confidence in not-quite large samples", Ann. Math. Stat. 29, 1958.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ml.metrics.judged_groups import MINIMUM_GROUPS_TO_COMPARE
from ml.types import Floats

#: Confidence of the intervals.
CONFIDENCE = 0.95
#: More split groups than this are left out several at a time, to limit the work.
MOST_BLOCKS = 200


class Estimate(NamedTuple):
    """A figure without its bias, and its 95 % interval; None: it cannot be computed."""

    value: float | None
    low: float | None
    high: float | None


def jackknife(values: Floats, confidence: float = CONFIDENCE) -> Estimate:
    """Correct a figure for its bias, and compute its t interval.

    Parameters
    ----------
    values : float (1 + n_blocks,), the figure of all tracks, then those without each block.
    confidence : of the interval, in (0, 1).

    Returns
    -------
    Estimate : without interval, and not corrected, if there are no blocks or if one of the
        others cannot be computed (as when one group has all positives of a label).

    Examples
    --------
    >>> estimate = jackknife(np.array([2.0, 1.5, 2.0, 2.5]))
    >>> estimate.value, round(estimate.low, 3), round(estimate.high, 3)
    (2.0, -0.484, 4.484)
    """
    full, rest = float(values[0]), values[1:]
    if not math.isfinite(full):
        return Estimate(None, None, None)
    if len(rest) < MINIMUM_GROUPS_TO_COMPARE or not np.isfinite(rest).all():
        return Estimate(full, None, None)
    n, mean = len(rest), float(rest.mean())
    value = n * full - (n - 1) * mean
    error = math.sqrt((n - 1) / n * float(((rest - mean) ** 2).sum()))
    reach = student_quantile(n - 1, confidence) * error
    return Estimate(value, value - reach, value + reach)


@lru_cache(maxsize=MOST_BLOCKS)
def student_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Compute the factor of an interval by Student's t distribution.

    The density is integrated on a grid of the angle arctan(t / sqrt(degrees)), where it is a
    power of the cosine; SciPy would be heavier than the web process allows.

    Parameters
    ----------
    degrees : of freedom, >= 1.
    confidence : in (0, 1).

    Returns
    -------
    float : t with P(|T| < t) = confidence, to four digits.

    Examples
    --------
    >>> round(student_quantile(1), 2), round(student_quantile(9), 3)
    (12.71, 2.262)
    """
    angle = np.linspace(0.0, np.pi / 2, 200_001)
    density = np.cos(angle) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    reached = float(np.interp(confidence, area / area[-1], angle))
    return math.sqrt(degrees) * math.tan(reached)
