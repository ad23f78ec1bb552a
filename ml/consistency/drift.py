"""Whether an annotator's use of a label changed between two periods, and what could be seen.

Stage: consistency. Numpy only. The counts must come from the audit stratum: on tracks that
acquisition chose, this test cries wolf in nineteen windows of twenty, because what is served
changes while nobody does.

Sources
-------
.. [1] Sokal & Rohlf, "Biometry", 3rd edition 1995, chapter 17 (the G-test).
.. [2] Benjamini & Hochberg, "Controlling the false discovery rate", J. R. Stat.
   Soc. B 57, 1995.
.. [3] Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", 3rd edition 2003,
   chapter 4 (power of the comparison of two rates).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.metrics.ranking import Floats

#: Each period needs this many judged tracks before a verdict other than "not enough data".
MINIMUM_PERIOD = 50


def label_rate_change(
    before_positives: int, before_n: int, after_positives: int, after_n: int
) -> float | None:
    """G-test [1]_, one degree of freedom: p of "the rate is the same in both periods".

    Parameters
    ----------
    before_positives, after_positives : judged tracks with the label.
    before_n, after_n : judged tracks, audit stratum only.

    Returns
    -------
    p in [0, 1]; None when a period is empty; 1.0 when the label has the same rate in both.

    Raises
    ------
    ParameterError : a count is negative or larger than its n.

    Examples
    --------
    >>> round(label_rate_change(30, 200, 60, 200), 6)
    0.000295
    """
    for positives, n in ((before_positives, before_n), (after_positives, after_n)):
        if not 0 <= positives <= n:
            raise ParameterError(f"positives {positives} must lie in 0..{n}")
    if not before_n or not after_n:
        return None
    observed = np.array(
        [
            [before_positives, before_n - before_positives],
            [after_positives, after_n - after_positives],
        ],
        dtype=float,
    )
    expected = observed.sum(axis=1, keepdims=True) * observed.sum(axis=0) / observed.sum()
    is_there = observed > 0
    terms = observed[is_there] * np.log(observed[is_there] / expected[is_there])
    # chi-squared with one degree of freedom is a squared normal: P(X > g) = erfc(sqrt(g / 2)).
    return math.erfc(math.sqrt(max(0.0, float(terms.sum()))))


def benjamini_hochberg(p: Floats) -> npt.NDArray[np.float64]:
    """False-discovery-adjusted q of each p [2]_; nan (not tested) stays nan and counts nowhere.

    Parameters
    ----------
    p : float (n_tests,) in [0, 1] or nan.

    Returns
    -------
    float64 (n_tests,); calling all q <= .05 changed errs in at most 5 % of the calls.
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(-p[tested], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(np.minimum(p[order] * len(order) / ranks, 1.0))
    return adjusted


@dataclass(frozen=True)
class VisibleChange:
    """The smallest changes that the test would have found.

    Attributes
    ----------
    rise : factor > 1 of the rate; None when even 1.0 would have stayed hidden.
    fall : factor in [0, 1); None when even a fall to 0 would have stayed hidden.
    """

    rise: float | None
    fall: float | None


def detection_power(
    rate_before: float,
    rate_after: float,
    n_before: int,
    n_after: int,
    *,
    significance: float = 0.05,
) -> float:
    """Chance, in [0, 1], that a two-sided test at `significance` finds the change [3]_."""
    if not n_before or not n_after:
        return 0.0
    pooled = (rate_before * n_before + rate_after * n_after) / (n_before + n_after)
    null = math.sqrt(pooled * (1 - pooled) * (1 / n_before + 1 / n_after))
    spread = math.sqrt(
        rate_before * (1 - rate_before) / n_before + rate_after * (1 - rate_after) / n_after
    )
    edge = NormalDist().inv_cdf(1 - significance / 2) * null
    gap = abs(rate_after - rate_before)
    if spread == 0:
        return float(gap > edge)
    return NormalDist().cdf((gap - edge) / spread)


def smallest_visible_change(
    rate: float,
    n_before: int,
    n_after: int,
    *,
    power: float = 0.8,
    significance: float = 0.05,
) -> VisibleChange:
    """Factor by which a label's rate had to change to be found with the given power [3]_.

    With m labels tested at once, give `significance` / m for what survives the correction.

    Parameters
    ----------
    rate : of the label before, in (0, 1). n_before, n_after : judged audit tracks.
    """
    if not 0 < rate < 1:
        raise ParameterError(f"rate {rate} must lie strictly between 0 and 1")

    def is_found(after: float) -> bool:
        found = detection_power(rate, after, n_before, n_after, significance=significance)
        return found >= power

    return VisibleChange(
        rise=_edge_of(is_found, rate, 1.0, rate),
        fall=_edge_of(is_found, rate, 0.0, rate),
    )


def tracks_needed(
    rate: float,
    factor: float,
    n_before: int,
    *,
    power: float = 0.8,
    significance: float = 0.05,
    at_most: int = 1_000_000,
) -> int | None:
    """Judged audit tracks the later period needs to find `factor`; None above `at_most`."""
    after = min(1.0, rate * factor)

    def is_enough(n_after: int) -> bool:
        found = detection_power(rate, after, n_before, n_after, significance=significance)
        return found >= power

    if not is_enough(at_most):
        return None
    low, high = 0, at_most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def drift_verdict(n_before: int, n_after: int, q: float | None, level: float = 0.05) -> str:
    """Return "changed", "no change seen" or "not enough data" (never "steady": see power)."""
    if q is None or math.isnan(q) or min(n_before, n_after) < MINIMUM_PERIOD:
        return "not enough data"
    return "changed" if q <= level else "no change seen"


def _edge_of(
    is_found: Callable[[float], bool], hidden: float, found: float, rate: float
) -> float | None:
    """Bisect between a rate that stays hidden and one that is found; as a factor of `rate`."""
    if not is_found(found):
        return None
    for _ in range(60):
        middle = (hidden + found) / 2
        hidden, found = (hidden, middle) if is_found(middle) else (middle, found)
    return found / rate
