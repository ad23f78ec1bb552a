"""Comparison of several networks by cross-validation on the same folds. Numpy only.

Stage: the choice of a network, before any model is registered. Folds are grouped as in
`ml.evaluation.cross_validation.cross_validate` and depend on labels, groups and seed only, so
every network is measured on the same tracks. Differences are resampled by split group within
each fold, because the mean of macro AP over folds varies with these groups.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.evaluation.cross_validation import CrossValidation, FoldProgress, cross_validate
from ml.features.track_features import TrackFeatures
from ml.metrics.intervals import centred_bounds, resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.paired import STATISTICS
from ml.networks.base import ShouldStop
from ml.types import LabelMatrix, TrainingConfig

N_RESAMPLES = 1_000
#: Called after each epoch with the number of the network from 0, and its progress.
OnNetwork = Callable[[int, FoldProgress], None]


@dataclass(frozen=True)
class Contender:
    """A configuration, and features of the same tracks as those of the other contenders.

    Attributes
    ----------
    config : of the training. features : that its network reads.
    """

    config: TrainingConfig
    features: TrackFeatures


class FoldDifference(TypedDict):
    """Difference of a metric averaged over folds; the keys are JSON keys.

    Attributes
    ----------
    difference : None if it cannot be computed. interval : [low, high], 95 %, or None.
    """

    difference: float | None
    interval: list[float] | None


@dataclass(frozen=True)
class NetworkRow:
    """Results of one network.

    Attributes
    ----------
    network, features : names.
    macro_ap, interval : mean over the folds, and its 95 % interval.
    ratio : macro_ap over that of the baseline.
    differences : macro_ap minus that of a reference, by the name of the reference; None for the
        reference itself, or if it cannot be computed.
    bce_skill, macro_f1 : as in `ml.metrics.scores.evaluate`.
    seconds_per_epoch, epochs : median over all epochs of all folds, in seconds; their number.
    seconds : duration of the whole cross-validation.
    parameters : numbers that a trained network holds.
    n, labels_scored : judged tracks of all folds, and labels scored in any fold.
    """

    network: str
    features: str
    macro_ap: float | None
    interval: list[float] | None
    ratio: float | None
    differences: dict[str, FoldDifference]
    bce_skill: float | None
    macro_f1: float | None
    seconds_per_epoch: float
    epochs: int
    seconds: float
    parameters: int
    n: int
    labels_scored: int

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values.

        Returns
        -------
        dict : by the names of the attributes.
        """
        return asdict(self)


def compare_networks(
    contenders: Mapping[str, Contender],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    *,
    references: Sequence[str],
    n_folds: int = 5,
    seed: int = 0,
    on_progress: OnNetwork | None = None,
    should_stop: ShouldStop | None = None,
) -> list[NetworkRow]:
    """Cross-validate every contender on the same folds.

    Parameters
    ----------
    contenders : by the name of their row. references : some of these names.
    labels, groups, n_folds, seed : as in `ml.evaluation.cross_validation.cross_validate`.
    on_progress : called after every epoch. should_stop : polled every few batches.

    Returns
    -------
    list of NetworkRow : one for each contender, in their order.

    Raises
    ------
    ParameterError : a reference is not among the contenders; otherwise as `cross_validate`.
    """
    for reference in references:
        if reference not in contenders:
            raise ParameterError(
                f"the reference {reference!r} is not in {list(contenders)}; add it or name "
                "another one"
            )
    found: dict[str, tuple[CrossValidation, list[float], float]] = {}
    for number, (name, one) in enumerate(contenders.items()):
        started, epochs = time.perf_counter(), list[float]()

        def tell(at: FoldProgress, number: int = number, epochs: list[float] = epochs) -> None:
            epochs.append(at.epoch.seconds)
            if on_progress is not None:
                on_progress(number, at)

        outcome = cross_validate(
            one.features,
            labels,
            groups,
            one.config,
            n_folds,
            seed,
            on_progress=tell,
            should_stop=should_stop,
        )
        found[name] = outcome, epochs, time.perf_counter() - started
    rows = []
    for name, one in contenders.items():
        differences = {
            reference: _against(found[name][0], found[reference][0], labels, groups, seed)
            for reference in references
        }
        rows.append(_row(name, one.config.features, found[name], differences))
    return rows


def _against(
    ours: CrossValidation,
    theirs: CrossValidation,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    seed: int,
) -> FoldDifference:
    if ours is theirs:
        return {"difference": None, "interval": None}
    return paired_within_folds(
        ours.probabilities, theirs.probabilities, labels, groups, ours.fold_of, seed
    )


def _row(
    name: str,
    features: str,
    found: tuple[CrossValidation, list[float], float],
    differences: dict[str, FoldDifference],
) -> NetworkRow:
    outcome, epochs, seconds = found
    metrics, baseline = outcome.metrics, outcome.baseline["macro_ap"]
    held = outcome.models[0].predictor.weights()
    return NetworkRow(
        network=name,
        features=features,
        macro_ap=metrics["macro_ap"],
        interval=metrics["interval"]["macro_ap"],
        ratio=metrics["macro_ap"] / baseline if metrics["macro_ap"] and baseline else None,
        differences=differences,
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
) -> FoldDifference:
    """Compute the difference of macro AP averaged over folds, with its 95 % interval.

    This is `ml.metrics.paired.paired_bootstrap` for cross-validation. Each resample draws the
    split groups of every fold with replacement, measures both models on this draw and averages
    the differences over the folds; the interval is centred (`centred_bounds`). A fold without a
    scorable label takes no part.

    Parameters
    ----------
    ours, theirs : float (n_tracks, n_labels), out-of-fold probabilities.
    labels : (n_tracks, n_labels). groups : (n_tracks,), split groups.
    fold_of : int (n_tracks,), fold of each track.
    seed, n_resamples : of the bootstrap.

    Returns
    -------
    FoldDifference : ours minus theirs; without an interval if too few groups were judged.
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
    difference = float(np.array(observed)[known].mean())
    if not can_be_resampled(labels, groups, fold_of):
        return {"difference": difference, "interval": None}
    means = np.array(drawn)[known].mean(axis=0)
    bounds = centred_bounds(means, difference)
    return {"difference": difference, "interval": list(bounds) if bounds else None}


def _difference(
    ours: npt.NDArray[Any],
    theirs: npt.NDArray[Any],
    labels: LabelMatrix,
    weights: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    measure = STATISTICS["macro_ap"]
    return measure(ours, labels, weights) - measure(theirs, labels, weights)


# --- as text --------------------------------------------------------------------------------

_LEFT = ("network", "features", "macro AP", "95 %", "x baseline")
_RIGHT = ("skill", "tuned F1", "s an epoch", "epochs", "s in all", "parameters")


def as_markdown(
    rows: list[dict[str, Any]], references: Sequence[str], folds: int, seed: int
) -> str:
    """Write the rows as a Markdown table, with a line that explains it.

    Parameters
    ----------
    rows : as `NetworkRow.to_dict` returns them, at least one.
    references : networks whose differences are shown. folds, seed : of the comparison.

    Returns
    -------
    str : Markdown.
    """
    middle = [text for name in references for text in (f"- `{name}`", "95 %")]
    head = [*_LEFT, *middle, *_RIGHT]
    lines = [
        f"{rows[0]['n']} tracks, {rows[0]['labels_scored']} labels scored, {folds} folds by "
        f"split group, seed {seed}. Columns with a minus: macro AP minus that of another "
        "network, split groups resampled within folds. Seconds and epochs: all folds and fits.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|---|" + "---:|" * (len(head) - 2),
    ]
    lines += ["| " + " | ".join(_cells(row, references)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any], references: Sequence[str]) -> list[str]:
    differences = []
    for name in references:
        one = row["differences"][name]
        differences += [_number(one["difference"], "+.3f"), _interval(one["interval"], "+.3f")]
    return [
        f"`{row['network']}`",
        f"`{row['features']}`",
        _number(row["macro_ap"]),
        _interval(row["interval"]),
        _number(row["ratio"], ".1f"),
        *differences,
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
