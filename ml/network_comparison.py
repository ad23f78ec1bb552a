"""Several networks cross-validated on the same folds, beside each other. Numpy only.

Stage: choosing a network, before anything is registered. Folds are grouped as in
`ml.evaluation.cross_validate` and depend on labels, groups and seed only, so every network is
tried on the same tracks; differences are resampled by split group within each fold, which is
what the mean over folds of macro AP varies with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.evaluation import CrossValidation, FoldProgress, cross_validate
from ml.metrics import STATISTICS, resampling_weights
from ml.networks.base import ShouldStop
from ml.track_features import TrackFeatures
from ml.types import LabelMatrix, TrainingConfig

N_RESAMPLES = 1_000
#: Tells of each epoch: the network's number from 0, and where in its folds it is.
OnProgress = Callable[[int, FoldProgress], None]


@dataclass(frozen=True)
class Contender:
    """A configuration and the features that it reads, of the same tracks as all others."""

    config: TrainingConfig
    features: TrackFeatures


@dataclass(frozen=True)
class NetworkRow:
    """What the folds found of one network.

    Attributes
    ----------
    network, features : names. macro_ap : mean over the folds; interval : 95 %.
    ratio : macro_ap over the constant's. difference : macro_ap less the reference's, with its
        95 % interval; None for the reference itself, or where nothing can be said.
    bce_skill, macro_f1 : as in `ml.metrics.evaluate`.
    seconds_per_epoch : median over all epochs of all folds. epochs : how many those were.
    seconds : of the whole cross-validation. parameters : numbers that a trained network holds.
    n, labels_scored : judged tracks of all folds, and labels scored in any fold.
    """

    network: str
    features: str
    macro_ap: float | None
    interval: list[float] | None
    ratio: float | None
    difference: float | None
    difference_interval: list[float] | None
    bce_skill: float | None
    macro_f1: float | None
    seconds_per_epoch: float
    epochs: int
    seconds: float
    parameters: int
    n: int
    labels_scored: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return asdict(self)


def compare_networks(
    contenders: Mapping[str, Contender],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    *,
    reference: str,
    n_folds: int = 5,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
) -> list[NetworkRow]:
    """Cross-validate every contender on the same folds; return a row each, in their order.

    Parameters
    ----------
    contenders : by the name that their row shall have. reference : one of these names.
    labels, groups, n_folds, seed : as in `ml.evaluation.cross_validate`.

    Raises
    ------
    ParameterError : the reference is not among the contenders; else as `cross_validate`.
    """
    if reference not in contenders:
        raise ParameterError(f"the reference {reference!r} is not among {list(contenders)}")
    found: dict[str, tuple[CrossValidation, list[float], float]] = {}
    for number, (name, one) in enumerate(contenders.items()):
        started, epochs = time.perf_counter(), list[float]()

        def tell(at: FoldProgress, number: int = number, epochs: list[float] = epochs) -> None:
            epochs.append(at.epoch.seconds)
            if on_progress is not None:
                on_progress(number, at)

        outcome = cross_validate(
            one.features, labels, groups, one.config, n_folds, seed, tell, should_stop
        )
        found[name] = outcome, epochs, time.perf_counter() - started
    against = found[reference][0]
    return [
        _row(name, contenders[name], found[name], None if name == reference else against,
             labels, groups, seed)
        for name in contenders
    ]  # fmt: skip


def _row(
    name: str,
    contender: Contender,
    found: tuple[CrossValidation, list[float], float],
    against: CrossValidation | None,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    seed: int,
) -> NetworkRow:
    outcome, epochs, seconds = found
    metrics, constant = outcome.metrics, outcome.baseline["macro_ap"]
    difference: dict[str, Any] = {"difference": None, "interval": None}
    if against is not None:
        difference = paired_within_folds(
            outcome.probabilities, against.probabilities, labels, groups, outcome.fold_of, seed
        )
    held = outcome.models[0].predictor.weights()
    return NetworkRow(
        network=name,
        features=contender.config.features,
        macro_ap=metrics["macro_ap"],
        interval=metrics["interval"]["macro_ap"],
        ratio=metrics["macro_ap"] / constant if metrics["macro_ap"] and constant else None,
        difference=difference["difference"],
        difference_interval=difference["interval"],
        bce_skill=metrics["bce_skill"],
        macro_f1=metrics["macro_f1"],
        seconds_per_epoch=float(np.median(epochs)),
        epochs=len(epochs),
        seconds=seconds,
        parameters=sum(int(value.size) for value in held.values()),
        n=metrics["n"],
        labels_scored=metrics["labels_scored"],
    )


def paired_within_folds(
    ours: npt.NDArray[np.floating],
    theirs: npt.NDArray[np.floating],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    fold_of: npt.NDArray[np.intp],
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Any]:
    """Difference of the mean over folds of macro AP, with its 95 % percentile interval.

    `ml.metrics.paired_bootstrap` for cross-validation: in each resample the split groups of
    every fold are drawn anew, both models are measured on the same draw, and the differences
    are averaged over the folds. A fold without a scorable label takes no part.

    Parameters
    ----------
    ours, theirs : probabilities (n_tracks, n_labels) of tracks not seen in training.
    fold_of : (n_tracks,) fold of each track.

    Returns
    -------
    dict of difference and interval [low, high]; both None where nothing can be compared.
    """
    observed, drawn = [], []
    for fold in np.unique(fold_of):
        rows = np.flatnonzero(fold_of == fold)
        differ = partial(_difference, ours[rows], theirs[rows], labels.rows(rows))
        observed.append(differ(np.ones((len(rows), 1)))[0])
        blocks = resampling_weights(len(rows), groups[rows], n_resamples, seed + int(fold))
        drawn.append(np.concatenate([differ(block) for block in blocks]))
    known = np.isfinite(observed)
    if not known.any():
        return {"difference": None, "interval": None}
    means = np.array(drawn)[known].mean(axis=0)
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return {
        "difference": float(np.array(observed)[known].mean()),
        "interval": [float(low), float(high)],
    }


def _difference(
    ours: npt.NDArray[Any],
    theirs: npt.NDArray[Any],
    labels: LabelMatrix,
    weights: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    measure = STATISTICS["macro_ap"]
    return measure(ours, labels, weights) - measure(theirs, labels, weights)


# --- as text --------------------------------------------------------------------------------

_HEAD = (
    "network", "features", "macro AP", "95 %", "x constant", "difference", "95 %", "skill",
    "tuned F1", "s an epoch", "epochs", "s in all", "parameters",
)  # fmt: skip


def as_markdown(rows: list[dict[str, Any]], reference: str, folds: int, seed: int) -> str:
    """Return the rows (`NetworkRow.to_dict`) as a Markdown table with a line about it."""
    lines = [
        f"{rows[0]['n']} tracks, {rows[0]['labels_scored']} labels scored, {folds} folds by "
        f"split group, seed {seed}. Difference: macro AP less that of `{reference}`, groups "
        "resampled within folds. Epochs and seconds are over all folds and inner fits.",
        "",
        "| " + " | ".join(_HEAD) + " |",
        "|---|---|" + "---:|" * (len(_HEAD) - 2),
    ]
    lines += ["| " + " | ".join(_cells(row, reference)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any], reference: str) -> list[str]:
    is_reference = row["network"] == reference
    return [
        f"`{row['network']}`",
        f"`{row['features']}`",
        _number(row["macro_ap"]),
        _interval(row["interval"]),
        _number(row["ratio"], ".1f"),
        "reference" if is_reference else _number(row["difference"], "+.3f"),
        "" if is_reference else _interval(row["difference_interval"], "+.3f"),
        _number(row["bce_skill"]),
        _number(row["macro_f1"]),
        _number(row["seconds_per_epoch"]),
        f"{row['epochs']:,}",
        f"{row['seconds']:.0f}",
        f"{row['parameters']:,}",
    ]


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _interval(bounds: list[float] | None, form: str = ".3f") -> str:
    return "-" if bounds is None else f"{bounds[0]:{form}} .. {bounds[1]:{form}}"
