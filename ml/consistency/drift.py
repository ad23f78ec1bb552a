"""Drift: changes in how often an annotator gives a label, and which changes could be detected.

Stage: consistency. Numpy only. The counts must come from the audit stratum. On tracks that
acquisition chose, this test gives a false alarm in nineteen windows of twenty, because the
served tracks change while the annotator does not.

References
----------
.. [1] Sokal & Rohlf, "Biometry", 3rd edition 1995, chapter 17 (the G-test).
.. [2] Benjamini & Hochberg, "Controlling the false discovery rate", J. R. Stat.
   Soc. B 57, 1995.
.. [3] Fleiss, Levin & Paik, "Statistical Methods for Rates and Proportions", 3rd edition 2003,
   chapter 4 (power of the comparison of two rates).
.. [4] Tarone, "A modified Bonferroni method for discrete data", Biometrics 46, 1990.
.. [5] Gilbert, "A modified false discovery rate multiple-comparisons procedure for discrete
   data, applied to human immunodeficiency virus genetics", J. R. Stat. Soc. C 54, 2005.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import Bools, Floats

#: Each period needs this many judged tracks before a verdict other than "not enough data".
MINIMUM_PERIOD = 50


def label_rate_change(
    before_positives: int, before_n: int, after_positives: int, after_n: int
) -> float | None:
    """Test whether a label has the same rate in two periods: G-test [1]_, 1 degree of freedom.

    Parameters
    ----------
    before_positives, after_positives : judged tracks with the label.
    before_n, after_n : judged tracks, audit stratum only.

    Returns
    -------
    p in [0, 1]; None when a period is empty; 1.0 when the rates are equal.

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
            raise ParameterError(f"positives is {positives}; it must lie in 0..{n}")
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
    """Adjust p-values for the false discovery rate [2]_.

    Parameters
    ----------
    p : float array (n_tests,) in [0, 1]; NaN (not tested) stays NaN and is not counted.

    Returns
    -------
    float64 array (n_tests,) of q. Calling every test with q <= .05 a change is wrong in at most
    5 % of these calls.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(-p[tested], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(np.minimum(p[order] * len(order) / ranks, 1.0))
    return adjusted


def smallest_attainable_p(
    before_positives: int, before_n: int, after_positives: int, after_n: int
) -> float | None:
    """Compute the smallest p that `label_rate_change` could give with these totals.

    It is reached if all positives fall into one period, as far as they fit. It depends on the
    positives of both periods together, which do not show whether the rate changed.

    Parameters
    ----------
    before_positives, after_positives : judged tracks with the label.
    before_n, after_n : judged tracks.

    Returns
    -------
    p in [0, 1]; None when a period is empty.

    Examples
    --------
    >>> round(smallest_attainable_p(1, 60, 1, 60), 3)
    0.094
    """
    if not before_n or not after_n:
        return None
    total = before_positives + after_positives
    found = []
    for before in (min(total, before_n), max(0, total - after_n)):
        p = label_rate_change(before, before_n, total - before, after_n)
        found.append(1.0 if p is None else p)
    return min(found)


def within_reach(attainable: Floats, level: float = 0.05) -> Bools:
    """Return which tests can be significant after the correction for their number [4]_, [5]_.

    K is the smallest number for which at most K tests can reach `level` / K. These tests take
    part in the correction. The others could not be called whatever the data, so leaving them
    out costs no false discovery, and they hide no change of another label.

    Parameters
    ----------
    attainable : float (n_tests,), smallest attainable p; NaN where there is no test.
    level : false discovery rate, in (0, 1).

    Returns
    -------
    bool (n_tests,).

    Examples
    --------
    >>> within_reach(np.array([1e-9, 0.094, 0.04, np.nan])).tolist()
    [True, False, False, False]
    """
    known = np.sort(attainable[~np.isnan(attainable)])
    sizes = np.arange(1, len(known) + 2)
    reaching = np.searchsorted(known, level / sizes, side="right")
    k = int(sizes[np.argmax(reaching <= sizes)])
    return np.asarray(attainable <= level / k)


@dataclass(frozen=True)
class Correction:
    """Tests corrected together.

    Attributes
    ----------
    q : float64 (n_tests,), adjusted p; 1 if a test takes no part, NaN if a period is empty.
    is_tested : bool (n_tests,), True if the test took part in the correction.
    """

    q: npt.NDArray[np.float64]
    is_tested: Bools

    @property
    def n_tests(self) -> int:
        """Number of tests in the correction."""
        return int(self.is_tested.sum())


def corrected_changes(counts: Sequence[tuple[int, int, int, int]]) -> Correction:
    """Correct the tests of many labels and annotators for their number.

    Only tests that can give a verdict take part: those with `MINIMUM_PERIOD` judged tracks in
    both periods that are `within_reach`. Neither depends on how the positives are divided
    between the periods, so the false discovery rate holds.

    Parameters
    ----------
    counts : (before_positives, before_n, after_positives, after_n) of each test.

    Returns
    -------
    Correction

    Examples
    --------
    >>> found = corrected_changes([(10, 100, 30, 100), (0, 9, 3, 9), (1, 90, 0, 90)])
    >>> found.q.round(4).tolist(), found.n_tests
    ([0.0003, 1.0, 1.0], 1)
    """
    p, attainable = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    for place, (before, before_n, after, after_n) in enumerate(counts):
        found = label_rate_change(before, before_n, after, after_n)
        p[place] = np.nan if found is None else found
        if min(before_n, after_n) >= MINIMUM_PERIOD:
            reached = smallest_attainable_p(before, before_n, after, after_n)
            attainable[place] = np.nan if reached is None else reached
    is_tested = within_reach(attainable)
    q = benjamini_hochberg(np.where(is_tested, p, np.nan))
    return Correction(np.where(is_tested | np.isnan(p), q, 1.0), is_tested)


@dataclass(frozen=True)
class VisibleChange:
    """The smallest changes that the test would have detected.

    Attributes
    ----------
    rise : factor > 1 of the rate; None when even a rise to 1.0 would not be detected.
    fall : factor in [0, 1); None when even a fall to 0 would not be detected.
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
    """Compute the probability that a two-sided test detects a change of a rate [3]_.

    Parameters
    ----------
    rate_before, rate_after : rates of the label, in [0, 1].
    n_before, n_after : judged tracks in each period.
    significance : level of the test, in (0, 1).

    Returns
    -------
    float in [0, 1]; 0 when a period is empty.

    Examples
    --------
    >>> round(detection_power(0.1, 0.2, 200, 200), 4)
    0.802
    """
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
    """Compute the factor by which a label's rate must change to be detected [3]_.

    With m labels tested at once, pass `significance` / m to allow for the correction.

    Parameters
    ----------
    rate : rate of the label before, in (0, 1).
    n_before, n_after : judged audit tracks in each period.
    power : probability of detection, in (0, 1).
    significance : level of the test, in (0, 1).

    Returns
    -------
    VisibleChange : factors of `rate`.

    Raises
    ------
    ParameterError : `rate` is not strictly between 0 and 1.

    Examples
    --------
    >>> change = smallest_visible_change(0.1, 200, 200)
    >>> round(change.rise, 2), round(change.fall, 2)
    (2.0, 0.31)
    """
    if not 0 < rate < 1:
        raise ParameterError(f"rate is {rate}; it must lie strictly between 0 and 1")

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
    """Compute how many judged audit tracks the later period needs to detect a change.

    Parameters
    ----------
    rate : rate of the label before, in (0, 1).
    factor : change to detect, as a factor of `rate`.
    n_before : judged audit tracks in the earlier period.
    power, significance : as in `smallest_visible_change`.
    at_most : largest number to consider.

    Returns
    -------
    int, or None when more than `at_most` would be needed.

    Examples
    --------
    >>> tracks_needed(0.1, 2.0, 200)
    198
    """
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
    """Return the verdict on one label of one annotator.

    "no change seen" does not mean steady: see `detection_power`.

    Parameters
    ----------
    n_before, n_after : judged audit tracks in each period.
    q : adjusted p-value; None or NaN when not tested.
    level : largest q that counts as a change.

    Returns
    -------
    str : "changed", "no change seen" or "not enough data".

    Examples
    --------
    >>> drift_verdict(200, 200, 0.01), drift_verdict(200, 20, 0.01)
    ('changed', 'not enough data')
    """
    if q is None or math.isnan(q) or min(n_before, n_after) < MINIMUM_PERIOD:
        return "not enough data"
    return "changed" if q <= level else "no change seen"


def _edge_of(
    is_found: Callable[[float], bool], hidden: float, found: float, rate: float
) -> float | None:
    """Bisect between a rate that is missed and one that is detected; as a factor of `rate`."""
    if not is_found(found):
        return None
    for _ in range(60):
        middle = (hidden + found) / 2
        hidden, found = (hidden, middle) if is_found(middle) else (middle, found)
    return found / rate
