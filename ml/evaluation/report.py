"""Evaluation report of a run: from its record to JSON values. Numpy only.

Stage: evaluation. The same record gives the same report, byte for byte. Pages, the command and
the charts (`ml.evaluation.charts`) only show what the report contains. A metric that cannot be
computed is None, and `message` says why.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict

import numpy as np

from ml.evaluation import curves, diagnosis
from ml.evaluation.record import EvaluationRecord
from ml.evaluation.resampling import (
    HEADLINES,
    headline_figures,
    label_average_precision,
    mean_over_parts,
    record_headline,
    record_weights,
)
from ml.metrics.fold_means import mean_metrics
from ml.metrics.headline import Headline
from ml.metrics.intervals import centred_interval
from ml.metrics.judged_groups import judged_groups
from ml.metrics.scores import LabelMetrics, Metrics, baseline, evaluate, scorable_labels
from ml.types import Floats, LabelMatrix

FORMAT = 1
N_RESAMPLES = 200
#: Below this many positives the metrics of a label are shown with a warning.
FEW_POSITIVES = 10


class Verdict(TypedDict):
    """Verdict of the diagnosis and its reasons; the keys are JSON keys."""

    text: str
    reasons: str


class DiagnosisFacts(TypedDict):
    """Facts behind the verdict; the keys are JSON keys.

    Attributes
    ----------
    raw, calibrated : size of the outputs before and after calibration.
    constant_accuracy : binary accuracy of the baseline.
    labels_without_figures : uids of labels without an AP.
    never : uids of labels that are never predicted, by kind of threshold.
    """

    raw: diagnosis.Outputs
    calibrated: diagnosis.Outputs
    bce_skill: float | None
    binary_accuracy: float | None
    constant_accuracy: float | None
    labels_scored: int
    labels_without_figures: list[str]
    never: dict[str, list[str]]


class LabelReport(LabelMetrics):
    """Metrics of one label in a report; the keys are JSON keys.

    Attributes
    ----------
    ap_interval : [low, high], 95 %, or None. largest_output : over the held-out tracks.
    is_rare : True with fewer than `FEW_POSITIVES` positives.
    """

    uid: str
    name: str
    facet: str
    ap_interval: list[float] | None
    largest_output: float | None
    is_rare: bool


class CalibrationPair(TypedDict):
    """Reliability before and after calibration; the keys are JSON keys."""

    before: curves.Reliability
    after: curves.Reliability


class EvaluationReport(TypedDict):
    """Everything that the page of a run shows; the keys are JSON keys.

    Attributes
    ----------
    figures, baseline : metrics of the model and of the prior predictor, without `labels` and
        `interval`; the mean over folds.
    intervals : [low, high], 95 %, or None, for each of `HEADLINES`.
    headline : the figures that are shown first; see `ml.metrics.headline`.
    precision_recall : curve by uid of the label, None without one.
    `course` : learning curves.
    message : why nothing could be measured, or empty.
    """

    format: int
    side: str
    judged_by: str
    message: str
    n_parts: int
    figures: dict[str, Any]
    baseline: dict[str, Any]
    intervals: dict[str, list[float] | None]
    headline: Headline
    verdict: Verdict
    diagnosis: DiagnosisFacts
    labels: list[LabelReport]
    calibration: CalibrationPair
    precision_recall: dict[str, curves.Curve | None]
    confusions: list[curves.Confusion]
    mistakes: list[curves.Mistake]
    course: curves.LearningCurves
    about: dict[str, Any]


def build_report(
    record: EvaluationRecord, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> EvaluationReport:
    """Compute everything that the page of a run shows.

    Parameters
    ----------
    record : of the run.
    n_resamples, seed : of the bootstrap over split groups, for all intervals.

    Returns
    -------
    EvaluationReport : JSON values.
    """
    message = problem_of(record)
    record = _without_nan(record)
    figures, constant = _figures(record)
    draws, label_draws = _draws(record, n_resamples, seed)
    summary = _summary(figures)
    intervals = {name: _interval(name, draws[name], summary[name]) for name in HEADLINES}
    labels = _label_rows(record, figures["labels"], label_draws)
    facts = _diagnosis(record, figures, constant, labels)
    shown = record_headline(record)
    n_groups = judged_groups(record.reference, record.groups)
    return {
        "format": FORMAT,
        "side": record.side,
        "judged_by": record.judged_by,
        "message": message,
        "n_parts": record.n_parts,
        "figures": summary,
        "baseline": _summary(constant),
        "intervals": intervals,
        "headline": shown,
        "verdict": _verdict(figures, constant, shown, facts, n_groups, message),
        "diagnosis": facts,
        "labels": labels,
        "calibration": {
            "before": curves.calibration_of(record.raw, record.reference),
            "after": curves.calibration_of(record.probabilities, record.reference),
        },
        "precision_recall": _precision_recall(record),
        "confusions": curves.confusions(record),
        "mistakes": curves.mistakes(record),
        "course": curves.learning_curves(record.history),
        "about": record.about,
    }


def problem_of(record: EvaluationRecord) -> str:
    """Explain why nothing can be measured by a record.

    Possible reasons: outputs are not finite, no track is labelled, or no label has both a
    positive and a negative.

    Parameters
    ----------
    record : of a run.

    Returns
    -------
    str : a sentence without its full stop; empty if the record can be measured.
    """
    bad = int((~np.isfinite(record.probabilities)).any(axis=1).sum())
    if bad:
        return (
            f"the outputs for {bad} of {record.n_tracks} tracks are not numbers: the training "
            "diverged, so nothing can be measured; lower the learning rate and train again"
        )
    n = int(record.reference.label_mask.any(axis=1).sum())
    if not n:
        return "no held-out track was judged yet, so nothing can be measured"
    if not scorable_labels(record.reference).any():
        return (
            f"on the {n} labelled held-out tracks no label is both given and not given, so "
            "nothing can be measured; label more of them"
        )
    return ""


def _without_nan(record: EvaluationRecord) -> EvaluationRecord:
    """Return the record; after a training that diverged, with no track counted as judged."""
    if np.isfinite(record.probabilities).all():
        return record
    nothing = LabelMatrix(record.reference.labels, np.zeros_like(record.reference.label_mask))
    values = np.nan_to_num(record.probabilities, nan=0.0, posinf=1.0, neginf=0.0)
    return replace(record, reference=nothing, probabilities=values)


def _figures(record: EvaluationRecord) -> tuple[Metrics, Metrics]:
    """Return the metrics of the model and of the baseline, averaged over the parts."""
    ours, its = [], []
    for part in record.parts():
        labels = record.reference.rows(part.rows)
        ours.append(
            evaluate(
                record.probabilities[part.rows],
                labels,
                part.thresholds,
                prior=part.prior,
                n_bootstrap=0,
            )
        )
        its.append(baseline(part.prior, labels))
    return mean_metrics(ours), mean_metrics(its)


def _summary(figures: Metrics) -> dict[str, Any]:
    return {
        name: value for name, value in figures.items() if name not in ("labels", "interval")
    }


def _draws(
    record: EvaluationRecord, n_resamples: int, seed: int
) -> tuple[dict[str, Floats], Floats]:
    """Return the headlines (B,) and the AP of each label (n_labels, B) of every resample."""
    weights = record_weights(record, n_resamples, seed)
    found = mean_over_parts(record, _part_draws, weights)
    headlines, label_ap = found[: len(HEADLINES)], found[len(HEADLINES) :]
    return dict(zip(HEADLINES, headlines, strict=True)), label_ap


def _part_draws(part: EvaluationRecord, weights: Floats) -> Floats:
    """Return the headlines, followed by the AP of each label, (4 + n_labels, B)."""
    label_ap = label_average_precision(part.probabilities, part.reference, weights)
    found = headline_figures(
        part.probabilities, part.reference, part.cuts, part.constant, weights, label_ap
    )
    return np.concatenate([np.stack([found[name] for name in HEADLINES]), label_ap])


def _interval(name: str, values: Floats, figure: float | None) -> list[float] | None:
    if name == "macro_ap":
        return centred_interval(values, figure)
    known = values[np.isfinite(values)]
    if figure is None or not len(known):
        return None
    return [float(value) for value in np.percentile(known, [2.5, 97.5])]


def _label_rows(
    record: EvaluationRecord, figures: list[LabelMetrics], draws: Floats
) -> list[LabelReport]:
    """Return the metrics of each label with its name, interval and largest output."""
    largest = diagnosis.outputs_of(record.probabilities)["by_label"]
    return [
        {
            **row,
            "uid": label.uid,
            "name": label.name,
            "facet": label.facet,
            "ap_interval": centred_interval(draws[row["index"]], row["ap"]),
            "largest_output": largest[row["index"]],
            "is_rare": 0 < row["support"] < FEW_POSITIVES,
        }
        for row, label in zip(figures, record.labels, strict=True)
    ]


def _diagnosis(
    record: EvaluationRecord, figures: Metrics, constant: Metrics, labels: list[LabelReport]
) -> DiagnosisFacts:
    never = diagnosis.never_predicted(record)
    return {
        "raw": diagnosis.outputs_of(record.raw),
        "calibrated": diagnosis.outputs_of(record.probabilities),
        "bce_skill": figures["bce_skill"],
        "binary_accuracy": figures["binary_accuracy"],
        "constant_accuracy": constant["binary_accuracy"],
        "labels_scored": figures["labels_scored"],
        "labels_without_figures": [row["uid"] for row in labels if row["ap"] is None],
        "never": {
            name: [record.labels[index].uid for index in found] for name, found in never.items()
        },
    }


def _verdict(
    figures: Metrics,
    constant: Metrics,
    shown: Headline,
    facts: DiagnosisFacts,
    n_groups: int,
    message: str,
) -> Verdict:
    text, reasons = diagnosis.verdict(
        diagnosis.Evidence(
            n=figures["n"],
            labels_scored=figures["labels_scored"],
            skill=shown["skill"],
            skill_interval=_pair(shown["intervals"]["skill"]),
            accuracy=figures["binary_accuracy"],
            baseline_accuracy=constant["binary_accuracy"],
            macro_ap=shown["macro_ap_10"],
            macro_ap_interval=_pair(shown["intervals"]["macro_ap_10"]),
            baseline_ap=shown["baseline"]["macro_ap_10"],
            n_frequent=shown["labels_10"],
            n_judged=shown["labels"],
            never_at_half=len(facts["never"]["at_half"]),
            n_groups=n_groups,
            problem=message,
        )
    )
    return {"text": text, "reasons": reasons}


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _precision_recall(record: EvaluationRecord) -> dict[str, curves.Curve | None]:
    """Return the curve of each label over all held-out tracks, by uid."""
    found = {}
    for index, label in enumerate(record.labels):
        judged = record.reference.label_mask[:, index]
        found[label.uid] = curves.curve_of(
            record.probabilities[judged, index], record.reference.labels[judged, index]
        )
    return found
