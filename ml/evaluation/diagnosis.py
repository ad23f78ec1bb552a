"""Has the model learnt anything, in plain words: the collapse diagnosis. Numpy only.

A network that answers every track with the label frequencies has a high binary accuracy and is
worth nothing (the study that this product grew out of reported .93 with outputs "between almost
zero and 0.2"; the constant has that too). The rules below tell such a model from one that ranks
well but seldom crosses 0.5, and from one that is useful.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.evaluation.record import EvaluationRecord
from ml.metrics.judged_groups import MINIMUM_GROUPS_TO_COMPARE, said_too_few
from ml.metrics.paired import MINIMUM_TRACKS_TO_COMPARE
from ml.metrics.ranking import Floats
from ml.metrics.scores import scorable_labels

#: At most this skill is none: two hundredths of the constant's uncertainty.
NO_SKILL = 0.02
#: An accuracy this near the constant's says nothing of its own.
SAME_ACCURACY = 0.01
#: Outputs below this are "between almost zero and 0.2".
SMALL_OUTPUT = 0.2
#: Where this share of the labels is never predicted at 0.5, thresholds have to be tuned.
MANY_LABELS = 0.5

CANNOT_BE_JUDGED = "cannot be judged"
NO_BETTER = "no better than answering the label frequencies"
MISLEADING = "worse than answering the label frequencies"
RANKS_ONLY = "ranks well but its probabilities are too small to cross .5: use tuned thresholds"
NOT_TOLD_APART = "not told apart from guessing"
USEFUL = "useful"


@dataclass(frozen=True)
class Evidence:
    """What the verdict is made of; None where it cannot be computed.

    Attributes
    ----------
    n, labels_scored : held-out tracks judged, and labels with a positive and a negative there.
    skill, skill_interval : BCE skill against the constant, its 95 % interval.
    accuracy, constant_accuracy : binary accuracy at 0.5 of the model and of the constant.
    macro_ap, macro_ap_interval, constant_ap : ranking, and the constant's.
    never_at_half : scored labels that no held-out track is predicted to have at 0.5.
    n_groups : split groups of the tracks judged; None: not known.
    problem : why nothing can be measured, as a sentence; empty where it can.
    """

    n: int
    labels_scored: int
    skill: float | None = None
    skill_interval: tuple[float, float] | None = None
    accuracy: float | None = None
    constant_accuracy: float | None = None
    macro_ap: float | None = None
    macro_ap_interval: tuple[float, float] | None = None
    constant_ap: float | None = None
    never_at_half: int = 0
    n_groups: int | None = None
    problem: str = ""

    @property
    def has_no_skill(self) -> bool:
        """Whether the skill is at most `NO_SKILL`, or its interval reaches 0."""
        if self.skill is None or self.skill <= NO_SKILL:
            return True
        return self.skill_interval is not None and self.skill_interval[0] <= 0

    @property
    def is_surely_harmful(self) -> bool:
        """Whether even the upper end of the skill's interval lies below 0."""
        top = self.skill if self.skill_interval is None else self.skill_interval[1]
        return top is not None and top < 0

    @property
    def is_far_below(self) -> bool:
        """Whether even the upper end of the skill's interval lies below -`NO_SKILL`."""
        top = self.skill if self.skill_interval is None else self.skill_interval[1]
        return top is not None and top < -NO_SKILL

    @property
    def has_the_constants_accuracy(self) -> bool:
        """Whether the binary accuracy is within `SAME_ACCURACY` of the constant's."""
        if self.accuracy is None or self.constant_accuracy is None:
            return False
        return abs(self.accuracy - self.constant_accuracy) <= SAME_ACCURACY

    @property
    def ranks(self) -> bool:
        """Whether macro AP lies above the constant's, interval and all."""
        if self.macro_ap is None or self.constant_ap is None:
            return False
        low = self.macro_ap if self.macro_ap_interval is None else self.macro_ap_interval[0]
        return low > self.constant_ap


def verdict(evidence: Evidence) -> tuple[str, str]:
    """Judge a model: (verdict, the sentence that gives its reasons).

    In this order, the first that holds:

    1. *cannot be judged*: nothing measured, fewer than `MINIMUM_TRACKS_TO_COMPARE` tracks, or
       tracks of fewer than `MINIMUM_GROUPS_TO_COMPARE` split groups.
    2. *no better than answering the label frequencies*: skill <= 0.02, or its interval reaches
       0, and the binary accuracy is within 0.01 of the constant's. Not where the whole interval
       lies below -0.02: a model that never says yes has that accuracy however bad it is.
    3. *worse than answering the label frequencies*: the interval of the skill lies below 0.
    4. *not told apart from guessing*: no skill, or macro AP not above the constant's.
    5. *ranks well but its probabilities are too small to cross .5*: at least half of the
       labels are never predicted at 0.5.
    6. *useful*.
    """
    if evidence.problem or evidence.skill is None:
        return CANNOT_BE_JUDGED, evidence.problem or "there is no figure to judge by"
    if evidence.n < MINIMUM_TRACKS_TO_COMPARE:
        return CANNOT_BE_JUDGED, _too_few(evidence)
    if evidence.n_groups is not None and evidence.n_groups < MINIMUM_GROUPS_TO_COMPARE:
        return CANNOT_BE_JUDGED, _too_few_groups(evidence)
    is_near = evidence.has_no_skill and not evidence.is_far_below
    if is_near and evidence.has_the_constants_accuracy:
        return NO_BETTER, _reasons(evidence)
    if evidence.is_surely_harmful:
        return MISLEADING, _reasons(evidence)
    if evidence.has_no_skill or not evidence.ranks:
        return NOT_TOLD_APART, _reasons(evidence)
    if evidence.never_at_half >= MANY_LABELS * evidence.labels_scored:
        return RANKS_ONLY, _reasons(evidence)
    return USEFUL, _reasons(evidence)


def _too_few(evidence: Evidence) -> str:
    return (
        f"only {evidence.n} held-out tracks were judged; at least "
        f"{MINIMUM_TRACKS_TO_COMPARE} are needed"
    )


def _too_few_groups(evidence: Evidence) -> str:
    said = said_too_few(evidence.n_groups or 0)
    return f"the {evidence.n} held-out tracks judged are of {said}"


def _reasons(evidence: Evidence) -> str:
    return "; ".join(
        text
        for text in (_of_skill(evidence), _of_accuracy(evidence), _of_ranking(evidence))
        if text
    )


def _of_skill(evidence: Evidence) -> str:
    span = evidence.skill_interval
    between = f" (95 % between {span[0]:+.2f} and {span[1]:+.2f})" if span else ""
    return f"skill {evidence.skill:+.2f}{between}, the constant has 0"


def _of_accuracy(evidence: Evidence) -> str:
    if evidence.accuracy is None or evidence.constant_accuracy is None:
        return ""
    return (
        f"binary accuracy {evidence.accuracy:.3f}, the constant has "
        f"{evidence.constant_accuracy:.3f}"
    )


def _of_ranking(evidence: Evidence) -> str:
    if evidence.macro_ap is None or evidence.constant_ap is None:
        return ""
    text = f"macro AP {evidence.macro_ap:.2f}, the constant has {evidence.constant_ap:.2f}"
    if not evidence.never_at_half:
        return text
    return (
        f"{text}; {evidence.never_at_half} of {evidence.labels_scored} labels are never "
        "predicted at .5"
    )


def outputs_of(values: Floats) -> dict[str, Any]:
    """How large outputs (n, n_labels) are: largest, share below 0.2, largest of each label.

    Null where there is no finite output.
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
    """Scored labels (indices) that no held-out track is said to have, by kind of threshold.

    Returns
    -------
    dict of raw_at_half (before calibration, at 0.5), at_half (after it) and tuned.
    """
    scored = scorable_labels(record.reference)
    raw = np.where(np.isfinite(record.logits), record.raw, 0.0)
    said = {
        "raw_at_half": raw >= 0.5,
        "at_half": record.probabilities >= 0.5,
        "tuned": record.probabilities >= record.cuts,
    }
    return {
        name: np.flatnonzero(scored & ~chosen.any(axis=0)).tolist()
        for name, chosen in said.items()
    }
