"""From the scores of a network to probabilities, and from probabilities to decisions.

Stage: after training, on out-of-fold scores of the training side. Weighted losses shift every
probability, so calibration comes before thresholds, acquisition or a dashboard reads one.
Numpy only.

Sources: Platt, "Probabilistic outputs for support vector machines", 1999; Lin, Lin & Weng, "A
note on Platt's probabilistic outputs", Machine Learning 68, 2007 (the damped Newton method).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.errors import ParameterError
from ml.metrics.ranking import Bools, Floats
from ml.types import LabelMatrix

#: With fewer positives (or negatives) the slope stays 1 and only the intercept moves.
MINIMUM_FOR_SLOPE = 20
#: With fewer positives the best-F1 cut is noise: as many tracks are chosen as had the label.
MINIMUM_FOR_THRESHOLD = 5
#: Precisions of the Gaussian priors slope ~ N(1, .5) and intercept ~ N(0, 1.5): the ridge.
SLOPE_RIDGE = 4.0
INTERCEPT_RIDGE = 1 / 1.5**2
_MAX_STEPS = 50
_MAX_HALVINGS = 20


@dataclass(frozen=True)
class PlattScaling:
    """Per label, logit -> slope x logit + intercept.

    Attributes
    ----------
    slope, intercept : float64 (n_labels,); the identity is 1 and 0.
    """

    slope: Floats
    intercept: Floats

    @classmethod
    def identity(cls, n_labels: int) -> Self:
        """Return the scaling that changes nothing."""
        return cls(np.ones(n_labels), np.zeros(n_labels))

    def apply(self, logits: Floats) -> Floats:
        """Return probabilities of the shape of `logits` (n_tracks, n_labels), same dtype."""
        scaled = logits * self.slope + self.intercept
        return sigmoid(scaled).astype(logits.dtype)

    def to_dict(self) -> dict[str, list[float]]:
        """Return a JSON-able dict; `from_dict` brings it back exactly."""
        return {"slope": self.slope.tolist(), "intercept": self.intercept.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`."""
        return cls(np.array(values["slope"], float), np.array(values["intercept"], float))


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logit)) without overflow, computed in float64."""
    wide = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(wide))
    return np.where(wide >= 0, 1 / (1 + small), small / (1 + small))


def logit(probabilities: Floats, epsilon: float = 1e-7) -> Floats:
    """Inverse of `sigmoid`, float64, kept finite by `epsilon`."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), epsilon, 1 - epsilon)
    return np.log(clipped) - np.log1p(-clipped)


def fit_platt(logits: Floats, labels: LabelMatrix) -> PlattScaling:
    """Fit slope and intercept of each label by damped Newton steps, with a ridge to identity.

    Parameters
    ----------
    logits : float (n_tracks, n_labels), out of fold: never scores of tracks trained on.
    labels : what was judged on these tracks.

    Returns
    -------
    PlattScaling : where fewer than `MINIMUM_FOR_SLOPE` positives or negatives were judged the
        slope is 1 and the shrunken intercept alone is fitted (a weighted loss shifts rare
        labels most, so leaving them alone would be worse); nothing judged is the identity.

    Raises
    ------
    ParameterError : shapes differ or a judged logit is not finite.
    """
    if logits.shape != labels.labels.shape:
        raise ParameterError(f"logits {logits.shape} must be {labels.labels.shape}")
    if not np.isfinite(logits[labels.label_mask]).all():
        raise ParameterError("logits must be finite where judged")
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
    """Per label, the cut with the best F1 on these tracks (positive where p >= cut).

    Parameters
    ----------
    probabilities : float (n_tracks, n_labels), calibrated, out of fold.
    labels : what was judged on these tracks.

    Returns
    -------
    float64 (n_labels,). The cut lies halfway between the last score chosen and the first not
    chosen. With fewer than `MINIMUM_FOR_THRESHOLD` positives the prevalence cut stands in: as
    many judged tracks lie at or above it as have the label. Without any positive, nothing
    judged lies above it, and it is at least 0.5.
    """
    if probabilities.shape != labels.labels.shape:
        raise ParameterError(f"probabilities {probabilities.shape} != {labels.labels.shape}")
    cuts = [
        _cut(probabilities[judged, index].astype(float), labels.labels[judged, index])
        for index, judged in enumerate(labels.label_mask.T)
    ]
    return np.array(cuts, dtype=float)


def _cut(scores: Floats, positives: Bools) -> float:
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
