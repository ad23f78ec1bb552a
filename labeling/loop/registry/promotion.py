"""Promotion policy: whether a new model becomes the champion, with a reason in plain words.

Stage: model registry. A model is left to a person if it could not be evaluated, if it ranks
worse than the baseline, if its recipe is for comparison only, or if only its own selection of
answers was the reference. Any other model is promoted, unless it is clearly worse than the
champion on audit tracks that neither was trained on. The reason is shown on the Models page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from labeling.loop.datasets.selection import Selection
from labeling.models import ModelVersion
from ml.evaluation.diagnosis import MISLEADING
from ml.metrics import paired
from ml.metrics.judged_groups import MINIMUM_GROUPS_TO_COMPARE, judged_groups
from ml.training.recipes import FOR_COMPARISON
from ml.types import LabelMatrix

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
    figures = {"macro_ap": ap, "constant": prior_ap, "n": metrics["n"]}
    interval = (metrics.get("interval") or {}).get("macro_ap")
    if n_learnt == 0:
        return Decision(False, LEARNT_NOTHING, figures)
    if not metrics["n"]:
        return Decision(False, UNMEASURED, figures)
    if ap is None:
        return Decision(False, ONE_SIDED, figures)
    if interval and prior_ap is not None and interval[1] < prior_ap:
        reason = (
            f"it ranks worse than the baseline: macro AP {ap:.3f}, the baseline has "
            f"{prior_ap:.3f}"
        )
        return Decision(False, reason, figures)
    if verdict == MISLEADING:
        return Decision(False, f"its probabilities are {MISLEADING}", figures)
    return None


def decide_first(metrics: dict[str, Any], baseline: dict[str, Any]) -> Decision:
    """Promote the first model of a library that the other rules did not reject."""
    figures = {"macro_ap": metrics.get("macro_ap"), "constant": baseline.get("macro_ap")}
    return Decision(True, "the first usable model of this library", figures)


def decide_against(
    champion: ModelVersion,
    candidate: npt.NDArray[Any],
    of_champion: npt.NDArray[Any],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
) -> Decision:
    """Compare the probabilities of two models on the tracks and labels that they share.

    The candidate is rejected only if the whole 95 % interval of the difference is below zero.
    """
    n = int(labels.label_mask.any(axis=1).sum())
    is_worse = paired.is_plainly_worse(candidate, of_champion, labels, groups=groups)
    compared = paired.paired_bootstrap(candidate, of_champion, labels, groups=groups)
    figures = {"n": n, "against": champion.number, **compared}
    if is_worse is None or compared["difference"] is None:
        return Decision(
            True,
            f"{n} audit tracks can be compared, {_too_few(n, labels, groups)} for a comparison "
            f"with model {champion.number}, so the model with the newer answers is promoted",
            figures,
        )
    span = (
        f"macro AP {compared['difference']:+.3f} against model {champion.number} on {n} audit "
        f"tracks (95 % between {compared['lo']:+.3f} and {compared['hi']:+.3f})"
    )
    if is_worse:
        return Decision(False, f"clearly worse: {span}", figures)
    return Decision(True, f"not clearly worse: {span}", figures)


def _too_few(n: int, labels: LabelMatrix, groups: npt.NDArray[Any]) -> str:
    """Say what is too few: the tracks, or else their split groups."""
    n_groups = judged_groups(labels, groups)
    if n < paired.MINIMUM_TRACKS_TO_COMPARE or n_groups >= MINIMUM_GROUPS_TO_COMPARE:
        return "too few"
    return f"all of {n_groups} split group{'s' * (n_groups != 1)}, too few"
