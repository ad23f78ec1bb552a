"""Calibration: from scores to probabilities, and from probabilities to decisions.

Stage: after training, on out-of-fold scores of the training side. Weighted losses shift every
probability, so calibration comes before thresholds, acquisition or a chart uses one. Numpy
only.

Sources: Platt, "Probabilistic outputs for support vector machines", 1999; Lin, Lin & Weng, "A
note on Platt's probabilistic outputs", Machine Learning 68, 2007 (the damped Newton method).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypedDict

import numpy as np

from ml.errors import ParameterError
from ml.metrics.scores import check_probabilities
from ml.types import Bools, Floats, LabelMatrix

#: With fewer positives (or negatives) the slope stays 1 and only the intercept moves.
MINIMUM_FOR_SLOPE = 20
#: With fewer positives the best-F1 threshold is noise: it then selects as many tracks as have
#: the label.
MINIMUM_FOR_THRESHOLD = 5
#: Precisions of the Gaussian priors slope ~ N(1, .5) and intercept ~ N(0, 1.5): the ridge.
SLOPE_RIDGE = 4.0
INTERCEPT_RIDGE = 1 / 1.5**2
_MAX_STEPS = 50
_MAX_HALVINGS = 20


@dataclass(frozen=True)
class PlattScaling:
    """Platt scaling per label: logit -> slope x logit + intercept.

    Attributes
    ----------
    slope, intercept : float64 arrays (n_labels,); the identity is 1 and 0.
    """

    slope: Floats
    intercept: Floats

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """Return the scaling that changes nothing.

        Parameters
        ----------
        n_labels : number of labels.

        Returns
        -------
        PlattScaling : slopes 1, intercepts 0.
        """
        return cls(np.ones(n_labels), np.zeros(n_labels))

    def apply(self, logits: Floats) -> Floats:
        """Return calibrated probabilities.

        Parameters
        ----------
        logits : float array (n_tracks, n_labels).

        Returns
        -------
        float array of the same shape and dtype, in [0, 1].

        Examples
        --------
        >>> scaling = PlattScaling(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
        >>> scaling.apply(np.array([[0.0, 0.5]])).round(4).tolist()
        [[0.5, 0.8808]]
        """
        scaled = logits * self.slope + self.intercept
        return sigmoid(scaled).astype(logits.dtype)

    def to_dict(self) -> dict[str, list[float]]:
        """Return a JSON-able form.

        Returns
        -------
        dict with lists `slope` and `intercept`; `from_dict` restores them exactly.
        """
        return {"slope": self.slope.tolist(), "intercept": self.intercept.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`.

        Parameters
        ----------
        values : with `slope` and `intercept`.

        Returns
        -------
        PlattScaling : equal to the one that was stored.
        """
        return cls(np.array(values["slope"], float), np.array(values["intercept"], float))


def sigmoid(logits: Floats) -> Floats:
    """Compute 1 / (1 + exp(-logit)) without overflow.

    Parameters
    ----------
    logits : float array of any shape.

    Returns
    -------
    float64 array of the same shape, in [0, 1].

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0, 1.0])).round(4).tolist()
    [0.0, 0.5, 0.7311]
    """
    wide = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))


def logit(probabilities: Floats, epsilon: float = 1e-7) -> Floats:
    """Compute the inverse of `sigmoid`.

    Parameters
    ----------
    probabilities : float array of any shape, in [0, 1].
    epsilon : distance from 0 and 1 to which probabilities are clipped, so that results are
        finite.

    Returns
    -------
    float64 array of the same shape.

    Examples
    --------
    >>> logit(np.array([0.0, 0.5, 0.9])).round(4).tolist()
    [-16.1181, 0.0, 2.1972]
    """
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), epsilon, 1 - epsilon)
    return np.log(clipped) - np.log1p(-clipped)


def fit_platt(logits: Floats, labels: LabelMatrix) -> PlattScaling:
    """Fit slope and intercept of each label by damped Newton steps, with a ridge.

    The ridge pulls towards the identity (slope 1, intercept 0).

    Parameters
    ----------
    logits : float array (n_tracks, n_labels), out-of-fold: never scores of tracks trained on.
    labels : labels of the same tracks.

    Returns
    -------
    PlattScaling : with fewer than `MINIMUM_FOR_SLOPE` positives or negatives the slope is 1 and
        only the shrunken intercept is fitted (a weighted loss shifts rare labels most, so not
        correcting them would be worse). A label that nobody judged gets the identity.

    Raises
    ------
    ParameterError : shapes differ or a judged logit is not finite.

    Examples
    --------
    >>> given = np.array([[True], [True], [False], [False]])
    >>> labels = LabelMatrix(given, np.ones((4, 1), bool))
    >>> scaling = fit_platt(np.array([[3.0], [2.0], [1.0], [0.0]]), labels)
    >>> scaling.slope.tolist(), scaling.intercept.round(3).tolist()
    ([1.0], [-0.947])
    """
    if logits.shape != labels.labels.shape:
        raise ParameterError(f"logits {logits.shape} must be of shape {labels.labels.shape}")
    if not np.isfinite(logits[labels.label_mask]).all():
        raise ParameterError("logits must be finite wherever a label was judged")
    fitted = [
        _fit_one(logits[judged, index].astype(float), labels.labels[judged, index])
        for index, judged in enumerate(labels.label_mask.T)
    ]
    parameters = np.array(fitted, dtype=float).reshape(-1, 2)
    return PlattScaling(parameters[:, 0].copy(), parameters[:, 1].copy())


def _objective(parameters: Floats, scores: Floats, positives: Bools) -> float:
    scaled = parameters[0] * scores + parameters[1]
    loss = np.logaddexp(0, scaled).sum() - scaled[positives].sum()
    ridge = SLOPE_RIDGE * (parameters[0] - 1) ** 2 + INTERCEPT_RIDGE * parameters[1] ** 2
    return float(loss + ridge / 2)


def _fit_one(scores: Floats, positives: Bools) -> Floats:
    rarer = min(int(positives.sum()), int((~positives).sum()))
    is_free = np.array([rarer >= MINIMUM_FOR_SLOPE, len(scores) > 0])
    parameters = np.array([1.0, 0.0])
    value = _objective(parameters, scores, positives)
    for _ in range(_MAX_STEPS):
        step = _newton_step(parameters, scores, positives, is_free)
        new, new_value = _damped(parameters, step, value, scores, positives)
        if value - new_value < 1e-10:
            break
        parameters, value = new, new_value
    return parameters


def _newton_step(
    parameters: Floats, scores: Floats, positives: Bools, is_free: Bools
) -> Floats:
    predicted = sigmoid(parameters[0] * scores + parameters[1])
    error, curvature = predicted - positives, predicted * (1 - predicted)
    ridge = np.array([SLOPE_RIDGE, INTERCEPT_RIDGE])
    gradient = np.array([error @ scores, error.sum()]) + ridge * (parameters - [1.0, 0.0])
    cross = curvature @ scores
    hessian = np.array([[curvature @ scores**2, cross], [cross, curvature.sum()]])
    hessian += np.diag(ridge)
    step = np.zeros(2)
    if is_free.any():
        step[is_free] = np.linalg.solve(hessian[np.ix_(is_free, is_free)], gradient[is_free])
    return step


def _damped(
    parameters: Floats, step: Floats, value: float, scores: Floats, positives: Bools
) -> tuple[Floats, float]:
    for halving in range(_MAX_HALVINGS):
        candidate = parameters - step / 2**halving
        candidate_value = _objective(candidate, scores, positives)
        if candidate_value < value:
            return candidate, candidate_value
    return parameters, value


def tune_thresholds(probabilities: Floats, labels: LabelMatrix) -> Floats:
    """Return for each label the threshold with the best F1 (positive where p >= threshold).

    Parameters
    ----------
    probabilities : float array (n_tracks, n_labels), calibrated, out-of-fold.
    labels : labels of the same tracks.

    Returns
    -------
    float64 array (n_labels,). The threshold lies halfway between the lowest score selected and
    the highest one not selected. With fewer than `MINIMUM_FOR_THRESHOLD` positives the
    threshold matches the prevalence instead: as many judged tracks reach it as have the label.
    Without any positive no judged track reaches it, and it is at least 0.5.

    Raises
    ------
    ParameterError : shapes differ.

    Examples
    --------
    >>> given = np.array([[True]] * 5 + [[False]] * 3)
    >>> scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5], [0.4], [0.2], [0.1]])
    >>> tune_thresholds(scores, LabelMatrix(given, np.ones((8, 1), bool)))
    array([0.45])
    """
    if probabilities.shape != labels.labels.shape:
        raise ParameterError(
            f"probabilities {probabilities.shape} must have the shape of the labels "
            f"{labels.labels.shape}"
        )
    thresholds = [
        _best_f1(probabilities[judged, index].astype(float), labels.labels[judged, index])
        for index, judged in enumerate(labels.label_mask.T)
    ]
    return np.array(thresholds, dtype=float)


def _best_f1(scores: Floats, positives: Bools) -> float:
    n_positives = int(positives.sum())
    if n_positives == 0:
        highest = float(scores.max()) if len(scores) else 0.0
        return max(0.5, (highest + 1) / 2 if highest < 1 else float(np.nextafter(1.0, 2.0)))
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    if n_positives < MINIMUM_FOR_THRESHOLD:
        return _between(ranked, n_positives - 1)
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positives[order])[ends]
    f1 = 2 * hits / (ends + 1 + n_positives)
    return _between(ranked, int(ends[np.argmax(f1)]))


def _between(ranked: Floats, last: int) -> float:
    below = ranked[last + 1 :]
    lower = below[below < ranked[last]]
    if len(lower) == 0:
        return float(ranked[last])
    middle = float(ranked[last] + lower[0]) / 2
    return middle if middle > lower[0] else float(ranked[last])


class CalibrationBin(TypedDict):
    """One bin of a reliability diagram; the keys are JSON keys.

    Attributes
    ----------
    lower, upper : edges of the bin, in [0, 1].
    n : judged cells in it.
    mean_probability, observed_rate : means over these cells.
    """

    lower: float
    upper: float
    n: int
    mean_probability: float
    observed_rate: float


def reliability_diagram(
    probabilities: Floats, labels: LabelMatrix, n_bins: int = 10
) -> list[CalibrationBin]:
    """Compute the reliability diagram over all judged cells, with bins of equal width.

    Parameters
    ----------
    probabilities : float array (n_tracks, n_labels) in [0, 1].
    labels : labels of the same tracks.
    n_bins : number of bins, >= 1.

    Returns
    -------
    list of CalibrationBin, from low to high; empty bins are omitted.

    Raises
    ------
    ParameterError : shapes differ or a probability is outside [0, 1].

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False]]), np.ones((1, 2), bool))
    >>> (one,) = reliability_diagram(np.array([[0.75, 0.75]]), labels, n_bins=2)
    >>> one["n"], one["mean_probability"], one["observed_rate"]
    (2, 0.75, 0.5)
    """
    check_probabilities(probabilities, labels)
    scores = probabilities[labels.label_mask]
    positives = labels.labels[labels.label_mask]
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    rows: list[CalibrationBin] = []
    for index in np.unique(bins):
        members = bins == index
        rows.append(
            {
                "lower": float(index / n_bins),
                "upper": float((index + 1) / n_bins),
                "n": int(members.sum()),
                "mean_probability": float(scores[members].mean()),
                "observed_rate": float(positives[members].mean()),
            }
        )
    return rows


def expected_calibration_error(
    probabilities: Floats, labels: LabelMatrix, n_bins: int = 10
) -> float | None:
    """Compute the expected calibration error [1]_.

    It is the mean gap between probability and observed rate over bins, weighted by cells.

    Parameters
    ----------
    probabilities, labels, n_bins : as in `reliability_diagram`.

    Returns
    -------
    float in [0, 1], or None when nothing was judged.

    Raises
    ------
    ParameterError : shapes differ or a probability is outside [0, 1].

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False]]), np.ones((1, 2), bool))
    >>> expected_calibration_error(np.array([[0.75, 0.75]]), labels, n_bins=2)
    0.25
    """
    rows = reliability_diagram(probabilities, labels, n_bins)
    cells = sum(row["n"] for row in rows)
    if not cells:
        return None
    gaps = (row["n"] * abs(row["mean_probability"] - row["observed_rate"]) for row in rows)
    return float(sum(gaps) / cells)
