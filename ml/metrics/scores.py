"""How well probabilities rank and decide: figures, their constant baseline, their intervals.

Stage: evaluation, after training and before promotion. Numpy only, no state.

Conventions
-----------
- `probabilities` is (n_tracks, n_labels) in [0, 1]; `labels` is a `LabelMatrix` of the same
  shape. A cell outside `label_mask` was not judged and takes part in nothing.
- A label is *scored* when at least one judged track has it and one has it not. Every summary
  is over scored labels only.
- A figure that cannot be computed is None, never 0.
- A prediction is positive where probability >= threshold.

Figures
-------
- macro_ap : mean over labels of average precision; of a constant it is the prevalence.
- lwlrap : label-weighted label-ranking average precision [1]_; a constant is far above 0.
- bce, bce_skill : binary cross-entropy in nats a cell, and 1 - bce / bce of the prior.
- macro_f1, micro_f1 : at the given thresholds.
- binary_accuracy : at 0.5, as the Keras metric of that name; only worth a look beside the
  constant's, which is above .93 with 30 labels and two a track.

.. [1] Howard, Tsoi et al., "Audio tagging with noisy labels and minimal supervision",
   DCASE 2019 (the metric of that task).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.ranking import (
    CELLS_A_BLOCK,
    Bools,
    Floats,
    average_precision,
    binary_cross_entropy,
    label_ranking_precision,
    macro_average_precision,
)
from ml.types import LabelMatrix

#: Below this many audit tracks two models are not compared: the verdict is "undecided".
MINIMUM_TRACKS_TO_COMPARE = 8


def validate(probabilities: Floats, labels: LabelMatrix) -> None:
    """Raise ParameterError unless the shapes agree and all values lie in [0, 1]."""
    if probabilities.shape != labels.labels.shape:
        raise ParameterError(
            f"probabilities {probabilities.shape} must have the shape of the labels "
            f"{labels.labels.shape}"
        )
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ParameterError("probabilities must be finite and lie in [0, 1]")


def scorable_labels(labels: LabelMatrix) -> Bools:
    """Return bool (n_labels,): labels with a positive and a negative among the judged."""
    positives = labels.labels & labels.label_mask
    negatives = ~labels.labels & labels.label_mask
    return np.asarray(positives.any(axis=0) & negatives.any(axis=0))


#: Statistics that can be resampled: (probabilities, labels, weights (n, B)) -> (B,).
STATISTICS: dict[str, Callable[[Floats, LabelMatrix, Floats], Floats]] = {
    "macro_ap": macro_average_precision,
    "lwlrap": label_ranking_precision,
    "bce": binary_cross_entropy,
}


def evaluate(
    probabilities: Floats,
    labels: LabelMatrix,
    thresholds: Floats,
    *,
    prior: Floats,
    seed: int = 0,
    n_bootstrap: int = 200,
    groups: npt.NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Every figure of one model on one set of tracks, as a JSON-able dict.

    Parameters
    ----------
    probabilities : float (n_tracks, n_labels), calibrated.
    labels : what was judged on the same tracks.
    thresholds : float (n_labels,), tuned on the training side.
    prior : float (n_labels,), prevalence on the training side: the constant of `bce_skill`.
    seed, n_bootstrap : of the 95 % percentile interval of macro AP; 0 leaves it out.
    groups : (n_tracks,) of any sortable type, resampled as wholes; None: every track alone.

    Returns
    -------
    dict with n (tracks with a judged label), labels_scored, macro_ap, lwlrap, bce, bce_skill,
    macro_f1, micro_f1, binary_accuracy, interval {macro_ap: [low, high] or None}, labels [one
    dict a label, in order, scored or not]. There is no interval with judged tracks of fewer
    than `MINIMUM_GROUPS_TO_COMPARE` groups.

    Raises
    ------
    ParameterError : shapes differ or a probability is not in [0, 1].
    """
    validate(probabilities, labels)
    _validate_per_label(labels, thresholds=thresholds, prior=prior)
    rows = [
        _label_figures(index, probabilities[:, index], labels, float(thresholds[index]))
        for index in range(labels.n_labels)
    ]
    scored = scorable_labels(labels)
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    figures = {
        "n": int(labels.label_mask.any(axis=1).sum()),
        "labels_scored": int(scored.sum()),
        **_summary(probabilities[:, scored], kept, thresholds[scored], prior[scored], rows),
    }
    values: Floats = np.empty(0)
    if can_be_resampled(labels, groups):
        values = _resampled(probabilities[:, scored], kept, groups, n_bootstrap, seed)
    interval = centred_interval(values, figures["macro_ap"])
    return {**figures, "interval": {"macro_ap": interval}, "labels": rows}


def baseline(
    prior: Floats, labels: LabelMatrix, thresholds: Floats | None = None
) -> dict[str, Any]:
    """The figures of `evaluate` for the constant that predicts `prior` for every track.

    Its AP is the prevalence, its skill 0. `thresholds` None stands for the prior itself: what
    tuning for F1 gives a constant, which then says yes to everything.
    """
    constant = np.broadcast_to(np.asarray(prior, dtype=float), labels.labels.shape)
    cuts = np.asarray(prior, dtype=float) if thresholds is None else thresholds
    return evaluate(constant, labels, cuts, prior=np.asarray(prior), n_bootstrap=0)


def _validate_per_label(labels: LabelMatrix, **vectors: Floats) -> None:
    for name, vector in vectors.items():
        if np.shape(vector) != (labels.n_labels,):
            raise ParameterError(f"{name} {np.shape(vector)} must be ({labels.n_labels},)")


def _label_figures(
    index: int, scores: Floats, labels: LabelMatrix, threshold: float
) -> dict[str, Any]:
    judged = labels.label_mask[:, index]
    positives, scores = labels.labels[judged, index], scores[judged]
    chosen = scores >= threshold
    support, hits = int(positives.sum()), int((positives & chosen).sum())
    prevalence = _ratio(support, len(positives))
    ap = average_precision(scores, positives)
    return {
        "index": index,
        "support": support,
        "negatives": len(positives) - support,
        "prevalence": prevalence,
        "ap": ap,
        "ap_ratio": ap / prevalence if ap is not None and prevalence else None,
        "threshold": threshold,
        "precision": _ratio(hits, int(chosen.sum())),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, support + int(chosen.sum())) if support else None,
    }


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


def _summary(
    probabilities: Floats,
    labels: LabelMatrix,
    thresholds: Floats,
    prior: Floats,
    rows: list[dict[str, Any]],
) -> dict[str, float | None]:
    once = np.ones((labels.n_tracks, 1))
    bce = _or_none(binary_cross_entropy(probabilities, labels, once))
    constant = np.broadcast_to(prior, probabilities.shape)
    bce_of_prior = _or_none(binary_cross_entropy(constant, labels, once))
    scored = [row for row in rows if row["ap"] is not None]
    chosen = (probabilities >= thresholds) & labels.label_mask
    positives = labels.labels & labels.label_mask
    right = ((probabilities >= 0.5) == labels.labels) & labels.label_mask
    hits = int((chosen & positives).sum())
    return {
        "macro_ap": _mean([row["ap"] for row in scored]),
        "lwlrap": _or_none(label_ranking_precision(probabilities, labels, once)),
        "bce": bce,
        "bce_skill": 1 - bce / bce_of_prior if bce is not None and bce_of_prior else None,
        "macro_f1": _mean([row["f1"] for row in scored]),
        "micro_f1": _ratio(2 * hits, int(chosen.sum()) + int(positives.sum())),
        "binary_accuracy": _ratio(int(right.sum()), int(labels.label_mask.sum())),
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _or_none(value: Floats) -> float | None:
    return None if np.isnan(value[0]) else float(value[0])


def resampling_weights(
    n_tracks: int, groups: npt.NDArray[Any] | None, n_resamples: int, seed: int
) -> Iterator[Floats]:
    """Yield bootstrap weights (n_tracks, b) in blocks until `n_resamples` are drawn.

    Each column says how often each track was drawn when whole groups are drawn with
    replacement (the cluster bootstrap: tracks of one album are not independent).
    """
    inverse = np.arange(n_tracks)
    if groups is not None:
        inverse = np.unique(groups, return_inverse=True)[1].reshape(-1)
    n_groups = int(inverse.max()) + 1 if n_tracks else 0
    rng = np.random.default_rng(seed)
    block = max(1, CELLS_A_BLOCK // max(1, n_tracks))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        yield drawn.T[inverse].astype(float)


def _resampled(
    probabilities: Floats,
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None,
    n_resamples: int,
    seed: int,
) -> Floats:
    """Return macro AP on bootstrap resamples of the tracks."""
    if n_resamples < 1 or labels.n_labels == 0:
        return np.empty(0)
    blocks = resampling_weights(labels.n_tracks, groups, n_resamples, seed)
    return np.concatenate(
        [macro_average_precision(probabilities, labels, weights) for weights in blocks]
    )


def centred_interval(values: Floats, figure: float | None) -> list[float] | None:
    """Return the 95 % interval of a figure in [0, 1] from its bootstrap resamples.

    With few positives a resampled average precision leans upwards (duplicates help each
    other), so the percentiles are moved until their median is the figure itself.

    Parameters
    ----------
    values : float (n_resamples,), NaN where a resample has no figure. figure : the figure.

    Returns
    -------
    [low, high] within [0, 1], or None where nothing can be said.
    """
    bounds = centred_bounds(values, figure)
    return None if bounds is None else [max(0.0, bounds[0]), min(1.0, bounds[1])]


def centred_bounds(values: Floats, figure: float | None) -> tuple[float, float] | None:
    """Return (low, high) of `centred_interval` for a figure of any range, such as a difference.

    The lean differs between two models, the one that ranks worse leaning more, so it does not
    cancel in their difference.
    """
    known = values[np.isfinite(values)]
    if figure is None or len(known) == 0:
        return None
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    return float(figure + low - middle), float(figure + high - middle)


def paired_bootstrap(
    probabilities_a: Floats,
    probabilities_b: Floats,
    labels: LabelMatrix,
    statistic: str = "macro_ap",
    *,
    groups: npt.NDArray[Any] | None = None,
    n_resamples: int = 1_000,
    seed: int = 0,
) -> dict[str, float | None]:
    """Difference a - b of one statistic with its 95 % interval (see `centred_bounds`).

    Both are computed on the same resamples, so what the tracks have in common cancels.

    Parameters
    ----------
    probabilities_a, probabilities_b : float (n_tracks, n_labels) in [0, 1].
    labels : what was judged on these tracks.
    statistic : a name in `STATISTICS`.
    groups : (n_tracks,) resampled as wholes; None: every track alone.
    n_resamples, seed : of the bootstrap [1]_.

    Returns
    -------
    dict of difference, lo, hi; all None without a scorable label, lo and hi None with judged
    tracks of fewer than `MINIMUM_GROUPS_TO_COMPARE` groups.

    References
    ----------
    .. [1] Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    if statistic not in STATISTICS:
        raise ParameterError(f"statistic {statistic!r} is not one of {sorted(STATISTICS)}")
    scored = scorable_labels(labels)
    if not scored.any():
        return {"difference": None, "lo": None, "hi": None}
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    pair = [probabilities_a, probabilities_b]
    for probabilities in pair:
        validate(probabilities, labels)

    def differences(weights: Floats) -> Floats:
        a, b = (STATISTICS[statistic](values[:, scored], kept, weights) for values in pair)
        return a - b

    observed = float(differences(np.ones((labels.n_tracks, 1)))[0])
    if not can_be_resampled(labels, groups):
        return {"difference": observed, "lo": None, "hi": None}
    blocks = resampling_weights(labels.n_tracks, groups, n_resamples, seed)
    values = np.concatenate([differences(weights) for weights in blocks])
    low, high = centred_bounds(values, observed) or (None, None)
    return {"difference": observed, "lo": low, "hi": high}


def is_plainly_worse(
    candidate: Floats,
    champion: Floats,
    labels: LabelMatrix,
    *,
    groups: npt.NDArray[Any] | None = None,
    n_resamples: int = 1_000,
    seed: int = 0,
) -> bool | None:
    """Whether the candidate's macro AP is below the champion's beyond doubt.

    Returns
    -------
    True when the upper end of the 95 % interval of (candidate - champion) is below 0; False
    when it is not; None (undecided) with fewer than `MINIMUM_TRACKS_TO_COMPARE` judged tracks,
    with tracks of fewer than `MINIMUM_GROUPS_TO_COMPARE` groups, or no scorable label.
    """
    if labels.label_mask.any(axis=1).sum() < MINIMUM_TRACKS_TO_COMPARE:
        return None
    compared = paired_bootstrap(
        candidate, champion, labels, groups=groups, n_resamples=n_resamples, seed=seed
    )
    return None if compared["hi"] is None else compared["hi"] < 0


def reliability(
    probabilities: Floats, labels: LabelMatrix, n_bins: int = 10
) -> list[dict[str, Any]]:
    """The reliability diagram over all judged cells: equal-width bins, empty ones left out.

    Returns
    -------
    list of dict: lower, upper (edges), n (cells), mean_probability, observed_rate.
    """
    validate(probabilities, labels)
    scores = probabilities[labels.label_mask]
    positives = labels.labels[labels.label_mask]
    bins = np.minimum((scores * n_bins).astype(int), n_bins - 1)
    rows = []
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
    """Mean gap between probability and observed rate over bins, weighted by cells [1]_.

    None when nothing was judged.

    References
    ----------
    .. [1] Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    rows = reliability(probabilities, labels, n_bins)
    cells = sum(row["n"] for row in rows)
    if not cells:
        return None
    gaps = (row["n"] * abs(row["mean_probability"] - row["observed_rate"]) for row in rows)
    return float(sum(gaps) / cells)
