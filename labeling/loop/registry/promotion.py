"""Promotion policy: whether a new model becomes the champion, with a reason in plain words.

Stage: model registry. A model is left to a person if it could not be evaluated, if it ranks
worse than the baseline, if its recipe is for comparison only, or if only its own selection of
answers was the reference. Any other model is promoted, unless its skill is clearly lower than
that of the champion, or of the best former champions, on audit tracks that neither was trained
on. A loss of less than .01 does not count. Comparing with the champion alone would let the
models get slowly worse: each a little worse than the one before, none of them clearly. The
reason is shown on the Models page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from labeling.loop.datasets.selection import Selection
from labeling.models import ModelVersion
from ml.evaluation.comparison import NOT_COMPARABLE, WORSE, comparison_verdict
from ml.evaluation.diagnosis import MISLEADING
from ml.metrics.headline import Predicted, headline_differences, yardstick
from ml.metrics.jackknife import CONFIDENCE
from ml.metrics.judged_groups import MINIMUM_GROUPS_TO_COMPARE, judged_groups
from ml.metrics.paired import MINIMUM_TRACKS_TO_COMPARE, Difference, paired_bootstrap
from ml.training.recipes import FOR_COMPARISON
from ml.types import Floats, LabelMatrix

UNMEASURED = (
    "no audit track with features has been judged yet, so it cannot be evaluated: label tracks "
    "of the audit stratum, which are in everybody's queue, or promote it by hand on the Models "
    "page"
)
ONE_SIDED = (
    "on the audit tracks judged so far, every label is either always or never given, so it "
    "cannot be evaluated: label more tracks of the audit stratum, or promote it by hand on the "
    "Models page"
)
STRANGE = (
    "it predicts a label that the library does not have (such as Others), so it is for "
    "comparison only and never promoted automatically"
)
RECIPE = "its recipe is for comparison only, so it is never promoted automatically"
SELECTED = (
    "it was trained on a selection of the answers and evaluated on the same selection only: "
    "compare it with the champion, and promote it by hand if it is better"
)
LEARNT_NOTHING = "it learnt no label"
#: A smaller loss of skill is not worth the newer answers that would be left out. Two models
#: that are nearly always right differ surely, but by nothing that a curator could notice.
NEGLIGIBLE_SKILL = 0.01
#: The value of `Decision.against_id` if the decision does not depend on the champion.
ANY = -1


@dataclass(frozen=True)
class Decision:
    """A promotion decision: promoted or not, the reason in plain words and the figures.

    `against_id` is the champion when this was decided (None: there was none), or `ANY`.
    """

    is_promoted: bool
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)
    against_id: int | None = ANY


def for_comparison(
    selection: Selection, strangers: list[str], recipe: str = ""
) -> Decision | None:
    """Reject a model that is for comparison only; return None for any other."""
    if strangers:
        return Decision(False, STRANGE, {"strangers": strangers})
    if recipe in FOR_COMPARISON:
        return Decision(False, RECIPE, {"recipe": recipe})
    if selection.is_own_reference:
        return Decision(False, SELECTED)
    return None


def needs_a_person(
    metrics: dict[str, Any], baseline: dict[str, Any], n_learnt: int, verdict: str
) -> Decision | None:
    """Reject a model that is not known to be useful, whatever the champion; None for others.

    `n_learnt` counts the labels that it learnt, `verdict` is that of its report.
    """
    ap, prior_ap = metrics.get("macro_ap"), baseline.get("macro_ap")
    shown = metrics.get("headline") or {}
    figures = {
        "macro_ap": ap,
        "constant": prior_ap,
        "n": metrics["n"],
        "skill": shown.get("skill"),
    }
    if n_learnt == 0:
        return Decision(False, LEARNT_NOTHING, figures)
    if not metrics["n"]:
        return Decision(False, UNMEASURED, figures)
    if ap is None:
        return Decision(False, ONE_SIDED, figures)
    if reason := _ranks_worse(shown):
        return Decision(False, reason, figures)
    if verdict == MISLEADING:
        return Decision(False, f"its probabilities are {MISLEADING}", figures)
    return None


def _ranks_worse(shown: dict[str, Any]) -> str:
    """Say that macro AP of the frequent labels lies below the baseline's; else empty."""
    interval = (shown.get("intervals") or {}).get("macro_ap_10")
    prior_ap = (shown.get("baseline") or {}).get("macro_ap_10")
    if interval is None or prior_ap is None or interval[1] >= prior_ap:
        return ""
    return (
        f"it ranks worse than the baseline: macro AP {shown['macro_ap_10']:.3f} on "
        f"{shown['labels_10']} of {shown['labels']} labels, the baseline has {prior_ap:.3f}"
    )


def decide_first(metrics: dict[str, Any], baseline: dict[str, Any]) -> Decision:
    """Promote the first model of a library that the other rules did not reject."""
    figures = {
        "macro_ap": metrics.get("macro_ap"),
        "constant": baseline.get("macro_ap"),
        "skill": (metrics.get("headline") or {}).get("skill"),
    }
    return Decision(True, "the first usable model of this library", figures)


@dataclass(frozen=True)
class Duel:
    """A candidate and an earlier model on the audit tracks and labels that both share.

    `prior` is the baseline of both: the label frequencies that the earlier model learnt.
    """

    rival: ModelVersion
    candidate: Predicted
    former: Predicted
    labels: LabelMatrix
    prior: Floats
    groups: npt.NDArray[Any]

    @property
    def n(self) -> int:
        """Number of judged tracks."""
        return int(self.labels.label_mask.any(axis=1).sum())

    def gaps(self, confidence: float = CONFIDENCE) -> dict[str, Difference]:
        """Return the candidate's headline figures minus those of the earlier model."""
        by = yardstick(self.labels, self.prior, self.prior, self.groups)
        return headline_differences(self.former, self.candidate, by, confidence)


def decide_against(duel: Duel) -> Decision:
    """Compare with the champion by skill.

    Reject only if the whole 95 % interval is below 0 and the loss is not negligible.
    """
    gaps = duel.gaps()
    over_scored = paired_bootstrap(
        duel.candidate.probabilities,
        duel.former.probabilities,
        duel.labels,
        groups=duel.groups,
    )
    figures = {"n": duel.n, "against": duel.rival.number, **over_scored, "headline": gaps}
    verdict = comparison_verdict(gaps["skill"], duel.n)
    if verdict == NOT_COMPARABLE:
        few = _too_few(duel.n, duel.labels, duel.groups)
        return Decision(
            True,
            f"{duel.n} audit tracks can be compared, {few} for a comparison with model "
            f"{duel.rival.number}, so the model with the newer answers is promoted",
            figures,
        )
    said = _said(gaps["skill"], duel, CONFIDENCE)
    if verdict == WORSE and not _is_negligible(gaps["skill"]):
        return Decision(False, f"clearly worse: {said}", figures)
    return Decision(True, f"not clearly worse: {said}", figures)


def _is_negligible(gap: Difference) -> bool:
    loss = gap["difference"]
    return loss is not None and loss > -NEGLIGIBLE_SKILL


def decide_against_former(duels: Sequence[Duel]) -> Decision | None:
    """Reject a model that is clearly worse than one of the best former champions; else None.

    The level is divided by their number, because each of them may win by chance.
    """
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(duels))
    for duel in duels:
        gaps = duel.gaps(confidence)
        is_worse = comparison_verdict(gaps["skill"], duel.n) == WORSE
        if is_worse and not _is_negligible(gaps["skill"]):
            figures = {"n": duel.n, "against": duel.rival.number, "headline": gaps}
            said = _said(gaps["skill"], duel, confidence)
            reason = (
                f"clearly worse than a former champion: {said}; if that model is no longer "
                "right, promote this one by hand"
            )
            return Decision(False, reason, figures)
    return None


def _said(gap: Difference, duel: Duel, confidence: float) -> str:
    return (
        f"skill {gap['difference']:+.3f} against model {duel.rival.number} on {duel.n} audit "
        f"tracks ({100 * confidence:.3g} % between {gap['lo']:+.3f} and {gap['hi']:+.3f})"
    )


def _too_few(n: int, labels: LabelMatrix, groups: npt.NDArray[Any]) -> str:
    """Say what is too few: the tracks, or else their split groups."""
    n_groups = judged_groups(labels, groups)
    if n < MINIMUM_TRACKS_TO_COMPARE or n_groups >= MINIMUM_GROUPS_TO_COMPARE:
        return "too few"
    return f"all of {n_groups} split group{'s' * (n_groups != 1)}, too few"
