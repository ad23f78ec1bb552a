"""Diagnosis of a model in plain words: collapsed, ranking only, or useful. Numpy only.

Stage: evaluation. A network that predicts the label frequencies for every track has a high
binary accuracy and is useless. The study from which this project grew reported .93 with outputs
"between almost zero and 0.2"; the baseline (prior predictor) reaches the same. The rules below
distinguish such a model from one that ranks well but seldom exceeds 0.5, and from a useful one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from ml.evaluation.record import EvaluationRecord
from ml.metrics.judged_groups import MINIMUM_GROUPS_TO_COMPARE, too_few_groups
from ml.metrics.paired import MINIMUM_TRACKS_TO_COMPARE
from ml.metrics.scores import scorable_labels
from ml.types import Floats

#: Largest BCE skill that counts as none: two hundredths of the baseline's cross-entropy.
NO_SKILL = 0.02
#: An accuracy this close to that of the baseline does not speak for the model.
SAME_ACCURACY = 0.01
#: Outputs below this are "between almost zero and 0.2".
SMALL_OUTPUT = 0.2
#: Share of the labels never predicted at 0.5 from which thresholds have to be tuned.
MANY_LABELS = 0.5

CANNOT_BE_JUDGED = "cannot be judged"
NO_BETTER = "no better than answering the label frequencies"
MISLEADING = "worse than answering the label frequencies"
RANKS_ONLY = "ranks well but its probabilities are too small to cross .5: use tuned thresholds"
LIKE_GUESSING = "not told apart from guessing"
USEFUL = "useful"


@dataclass(frozen=True)
class Evidence:
    """Metrics behind a verdict; None if one cannot be computed.

    Attributes
    ----------
    n, labels_scored : judged held-out tracks, and labels with a positive and a negative there.
    skill, skill_interval : BCE skill against the baseline over all judged cells, and its 95 %
        interval.
    accuracy, baseline_accuracy : binary accuracy at 0.5 of the model and of the baseline.
    macro_ap, macro_ap_interval, baseline_ap : macro AP of the frequent labels with its 95 %
        interval, and that of the baseline; None if too few labels are frequent
        (`ml.metrics.headline`). n_frequent, n_judged : how many are, of how many judged ones.
    never_at_half : scored labels that are predicted for no held-out track at 0.5.
    n_groups : split groups of the judged tracks; None if not known.
    problem : why nothing can be measured, as a sentence; empty if it can.
    """

    n: int
    labels_scored: int
    skill: float | None = None
    skill_interval: tuple[float, float] | None = None
    accuracy: float | None = None
    baseline_accuracy: float | None = None
    macro_ap: float | None = None
    macro_ap_interval: tuple[float, float] | None = None
    baseline_ap: float | None = None
    n_frequent: int = 0
    n_judged: int = 0
    never_at_half: int = 0
    n_groups: int | None = None
    problem: str = ""

    @property
    def has_no_skill(self) -> bool:
        """True if the skill is at most `NO_SKILL`, or its interval includes 0 or less."""
        if self.skill is None or self.skill <= NO_SKILL:
            return True
        return self.skill_interval is not None and self.skill_interval[0] <= 0

    @property
    def is_surely_harmful(self) -> bool:
        """True if even the upper end of the skill's interval is below 0."""
        top = self.skill if self.skill_interval is None else self.skill_interval[1]
        return top is not None and top < 0

    @property
    def is_far_below(self) -> bool:
        """True if even the upper end of the skill's interval is below -`NO_SKILL`."""
        top = self.skill if self.skill_interval is None else self.skill_interval[1]
        return top is not None and top < -NO_SKILL

    @property
    def has_baseline_accuracy(self) -> bool:
        """True if the binary accuracy is within `SAME_ACCURACY` of that of the baseline."""
        if self.accuracy is None or self.baseline_accuracy is None:
            return False
        return abs(self.accuracy - self.baseline_accuracy) <= SAME_ACCURACY

    @property
    def ranks(self) -> bool:
        """False if macro AP, or the lower end of its interval, is not above the baseline's.

        Without enough frequent labels, the skill alone decides.
        """
        if self.macro_ap is None or self.baseline_ap is None:
            return True
        low = self.macro_ap if self.macro_ap_interval is None else self.macro_ap_interval[0]
        return low > self.baseline_ap


def verdict(evidence: Evidence) -> tuple[str, str]:
    """Judge a model. The first of these verdicts that applies is returned.

    1. *cannot be judged*: nothing is measured, there are fewer than `MINIMUM_TRACKS_TO_COMPARE`
       tracks, or they come from fewer than `MINIMUM_GROUPS_TO_COMPARE` split groups.
    2. *no better than answering the label frequencies*: the skill is at most 0.02 or its
       interval includes 0, and the binary accuracy is within 0.01 of that of the baseline. This
       does not apply if the whole interval is below -0.02: a model that never predicts a label
       has that accuracy, however bad it is.
    3. *worse than answering the label frequencies*: the interval of the skill is below 0.
    4. *not told apart from guessing*: no skill, or macro AP of the frequent labels is not above
       that of the baseline.
    5. *ranks well but its probabilities are too small to cross .5*: at least half of the labels
       are never predicted at 0.5.
    6. *useful*.

    Parameters
    ----------
    evidence : metrics of the model and of the baseline.

    Returns
    -------
    tuple of verdict and reasons : the first is stored, compared and shown; the second is a
        sentence.

    Examples
    --------
    >>> verdict(Evidence(n=7, labels_scored=3, skill=0.2))
    ('cannot be judged', 'only 7 held-out tracks have labels; at least 8 are needed')
    """
    if evidence.problem or evidence.skill is None:
        return CANNOT_BE_JUDGED, evidence.problem or "no metric could be computed"
    if evidence.n < MINIMUM_TRACKS_TO_COMPARE:
        return CANNOT_BE_JUDGED, _too_few(evidence)
    if evidence.n_groups is not None and evidence.n_groups < MINIMUM_GROUPS_TO_COMPARE:
        return CANNOT_BE_JUDGED, _too_few_groups(evidence)
    is_near = evidence.has_no_skill and not evidence.is_far_below
    if is_near and evidence.has_baseline_accuracy:
        return NO_BETTER, _reasons(evidence)
    if evidence.is_surely_harmful:
        return MISLEADING, _reasons(evidence)
    if evidence.has_no_skill or not evidence.ranks:
        return LIKE_GUESSING, _reasons(evidence)
    if evidence.never_at_half >= MANY_LABELS * evidence.labels_scored:
        return RANKS_ONLY, _reasons(evidence)
    return USEFUL, _reasons(evidence)


def _too_few(evidence: Evidence) -> str:
    return (
        f"only {evidence.n} held-out tracks have labels; at least "
        f"{MINIMUM_TRACKS_TO_COMPARE} are needed"
    )


def _too_few_groups(evidence: Evidence) -> str:
    said = too_few_groups(evidence.n_groups or 0)
    return f"the {evidence.n} labelled held-out tracks come from {said}"


def _reasons(evidence: Evidence) -> str:
    return "; ".join(
        text
        for text in (_of_skill(evidence), _of_accuracy(evidence), _of_ranking(evidence))
        if text
    )


def _of_skill(evidence: Evidence) -> str:
    span = evidence.skill_interval
    between = f" (95 % interval {span[0]:+.2f} to {span[1]:+.2f})" if span else ""
    return f"BCE skill {evidence.skill:+.2f}{between}, baseline 0"


def _of_accuracy(evidence: Evidence) -> str:
    if evidence.accuracy is None or evidence.baseline_accuracy is None:
        return ""
    return f"binary accuracy {evidence.accuracy:.3f}, baseline {evidence.baseline_accuracy:.3f}"


def _of_ranking(evidence: Evidence) -> str:
    parts = []
    if evidence.macro_ap is not None and evidence.baseline_ap is not None:
        parts.append(
            f"macro AP {evidence.macro_ap:.2f} on {evidence.n_frequent} of "
            f"{evidence.n_judged} labels, baseline {evidence.baseline_ap:.2f}"
        )
    if evidence.never_at_half:
        parts.append(
            f"{evidence.never_at_half} of {evidence.labels_scored} labels are never predicted "
            "at .5"
        )
    return "; ".join(parts)


class Outputs(TypedDict):
    """Size of the outputs of a model, None without a finite one; the keys are JSON keys.

    Attributes
    ----------
    largest : of all outputs. share_small : below `SMALL_OUTPUT`.
    by_label : the largest of each label.
    """

    largest: float | None
    share_small: float | None
    by_label: list[float | None]


def outputs_of(values: Floats) -> Outputs:
    """Describe the size of the outputs of a model.

    Parameters
    ----------
    values : float (n, n_labels), probabilities.

    Returns
    -------
    Outputs : over the finite values.

    Examples
    --------
    >>> outputs_of(np.array([[0.1, 0.5], [0.15, np.nan]]))["by_label"]
    [0.15, 0.5]
    """
    known = np.isfinite(values)
    if not known.any():
        return {"largest": None, "share_small": None, "by_label": [None] * values.shape[1]}
    by_label = np.where(known, values, -1.0).max(axis=0)
    return {
        "largest": float(values[known].max()),
        "share_small": float((values[known] < SMALL_OUTPUT).mean()),
        "by_label": [float(value) if value >= 0 else None for value in by_label],
    }


def never_predicted(record: EvaluationRecord) -> dict[str, list[int]]:
    """List the scored labels that are predicted for no held-out track.

    Parameters
    ----------
    record : of a run.

    Returns
    -------
    dict of list of int : columns, for `raw_at_half` (before calibration, at 0.5), `at_half`
        (calibrated, at 0.5) and `tuned` (calibrated, at the tuned thresholds).
    """
    scored = scorable_labels(record.reference)
    raw = np.where(np.isfinite(record.logits), record.raw, 0.0)
    predicted = {
        "raw_at_half": raw >= 0.5,
        "at_half": record.probabilities >= 0.5,
        "tuned": record.probabilities >= record.cuts,
    }
    return {
        name: np.flatnonzero(scored & ~chosen.any(axis=0)).tolist()
        for name, chosen in predicted.items()
    }
