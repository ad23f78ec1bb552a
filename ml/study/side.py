"""Metrics of one run on its held-out tracks or on its own validation set. Numpy only.

Stage: study. A report needs no more of a validation set than this, so its predictions are not
stored: the metrics are, and the resampled ones for the interval of a mean over seeds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypedDict

import numpy as np

from ml.evaluation.comparison import draw
from ml.evaluation.diagnosis import NO_BETTER, SAME_ACCURACY
from ml.evaluation.record import EvaluationRecord
from ml.evaluation.report import DiagnosisFacts, EvaluationReport, build_report
from ml.evaluation.resampling import HEADLINES
from ml.metrics.headline import Predicted
from ml.study import compact
from ml.types import Floats

N_RESAMPLES = 400
#: Metrics that are shown for every recipe, as the report of a run names them.
FIGURES = ("macro_ap", "bce_skill", "lwlrap", "macro_f1", "binary_accuracy", "bce")
#: Share of the labels that never reach 0.5 in the signature of the study: 24 of 30.
SIGNATURE_SHARE = 0.8
#: Steps of a resampled metric: the ends of an interval move by less than 0.0001.
_STEPS = 1 << 13
_DRAWS = "draws"


class OutputSizes(TypedDict):
    """Size of the outputs of a run, or its mean over seeds; the keys are JSON keys.

    Attributes
    ----------
    largest, share_small : of the raw outputs, see `ml.evaluation.diagnosis.Outputs`.
    never_at_half, never_tuned : labels never predicted, raw at 0.5 and at tuned thresholds.
    small_labels : labels whose largest raw output is below 0.5. n_labels : all labels.
    """

    largest: float | None
    share_small: float | None
    never_at_half: float | None
    never_tuned: float | None
    small_labels: float | None
    n_labels: float | None


class Signature(TypedDict):
    """Signs of the study's failure in a run; the keys are JSON keys.

    Attributes
    ----------
    accuracy : binary accuracy within 0.01 of that of the baseline.
    outputs : the largest output is below 0.5 for at least 80 % of the labels (24 of 30).
    verdict : "no better than answering the label frequencies".
    all : all three.
    """

    accuracy: bool
    outputs: bool
    verdict: bool
    all: bool


@dataclass(frozen=True)
class SideFigures:
    """Metrics of one run on one side.

    Attributes
    ----------
    n : judged tracks.
    figures, baseline : of the run and of the prior predictor, by the names in `FIGURES`.
    outputs : size of the raw outputs. verdict : of the report. signature : of the failure.
    draws : resampled headlines by name, (N_RESAMPLES,) each; NaN if unknown.
    """

    n: float | None
    figures: dict[str, float | None]
    baseline: dict[str, float | None]
    outputs: OutputSizes
    verdict: str
    signature: Signature
    draws: dict[str, Floats] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values of everything but the draws.

        Returns
        -------
        dict : by the names of the attributes.
        """
        values = asdict(self)
        del values[_DRAWS]
        return values

    def draws_to_bytes(self) -> bytes:
        """Return the draws, rounded, as the content of a file.

        Returns
        -------
        bytes : content of an .npz.xz file.
        """
        table = np.column_stack([self.draws[name] for name in HEADLINES])
        return compact.npz_bytes(compact.encode(_DRAWS, table, _STEPS))

    @classmethod
    def from_stored(cls, values: dict[str, Any], draws: bytes) -> Self:
        """Rebuild from what was stored.

        Parameters
        ----------
        values : of `to_json`. draws : of `draws_to_bytes`.

        Returns
        -------
        SideFigures : the same, with rounded draws.
        """
        table = compact.decode(_DRAWS, compact.arrays_from_npz(draws))
        return cls(**values, draws=dict(zip(HEADLINES, table.T, strict=True)))


def side_figures(record: EvaluationRecord) -> SideFigures:
    """Compute the metrics of a run from its record.

    Parameters
    ----------
    record : of the held-out tracks or of the validation set.

    Returns
    -------
    SideFigures : with `N_RESAMPLES` draws.
    """
    report = build_report(record, n_resamples=N_RESAMPLES)
    side = Predicted(record.probabilities, record.cuts)
    drawn = draw([side], record.reference, record.constant, record.groups, N_RESAMPLES)[0]
    return SideFigures(
        n=report["figures"]["n"],
        figures={name: report["figures"][name] for name in FIGURES},
        baseline={name: report["baseline"][name] for name in FIGURES},
        outputs=_outputs(report["diagnosis"]),
        verdict=report["verdict"]["text"],
        signature=signature(report),
        draws=drawn.draws,
    )


def signature(report: EvaluationReport) -> Signature:
    """Check whether a run shows the failure of the study.

    Parameters
    ----------
    report : of the run.

    Returns
    -------
    Signature : each sign on its own, and all together.
    """
    facts = report["diagnosis"]
    ours, baseline = facts["binary_accuracy"], facts["constant_accuracy"]
    is_near = (
        ours is not None and baseline is not None and abs(ours - baseline) <= SAME_ACCURACY
    )
    is_small = _n_small(facts) >= SIGNATURE_SHARE * len(facts["raw"]["by_label"])
    says_so = report["verdict"]["text"] == NO_BETTER
    signs = (bool(is_near), bool(is_small), says_so)
    return {"accuracy": signs[0], "outputs": signs[1], "verdict": signs[2], "all": all(signs)}


def _outputs(facts: DiagnosisFacts) -> OutputSizes:
    return {
        "largest": facts["raw"]["largest"],
        "share_small": facts["raw"]["share_small"],
        "never_at_half": float(len(facts["never"]["raw_at_half"])),
        "never_tuned": float(len(facts["never"]["tuned"])),
        "small_labels": float(_n_small(facts)),
        "n_labels": float(len(facts["raw"]["by_label"])),
    }


def _n_small(facts: DiagnosisFacts) -> int:
    return sum(1 for value in facts["raw"]["by_label"] if value is not None and value < 0.5)
