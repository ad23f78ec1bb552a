"""Promotion policy: whether a new model is promoted automatically, and why.

Some models wait for a person: those that could not be evaluated, those worse than the
baseline, those for comparison, and those evaluated by their own selection of answers only. Any
other model is promoted unless it is clearly worse than the champion on audit tracks that
neither was trained on.
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
    "no audit track with features has been labelled yet, so it cannot be evaluated. Label "
    "tracks of the audit stratum, which come up in everybody's queue, or promote it by hand on "
    "the Models page"
)
ONE_SIDED = (
    "on the audit tracks labelled so far, each label is given to all tracks or to none, so it "
    "cannot be evaluated. Label more tracks of the audit stratum, or promote it by hand on the "
    "Models page"
)
STRANGE = (
    "it knows a label that the library does not have (such as Others): it is for "
    "comparison, and never promoted automatically"
)
RECIPE = "its recipe is for comparison: it is never promoted automatically"
SELECTED = (
    "it was trained on a selection of the answers and evaluated by those only: compare it "
    "with the champion, and promote it by hand if it is better"
)
LEARNT_NOTHING = "it learnt no label"
#: A decision that holds for any champion.
ANY = -1


@dataclass(frozen=True)
class Decision:
    """A decision to promote a model or not, its reason in words, and its metrics.

    `against_id` is the champion at that moment (None: there was none), or `ANY`.
    """

    is_promoted: bool
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)
    against_id: int | None = ANY


def for_comparison(
    selection: Selection, strangers: list[str], recipe: str = ""
) -> Decision | None:
    """Reject a model that is only for comparison; None if it is not."""
    if strangers:
        return Decision(False, STRANGE, {"strangers": strangers})
    if recipe in FOR_COMPARISON:
        return Decision(False, RECIPE, {"recipe": recipe})
    if selection.judges_itself:
        return Decision(False, SELECTED)
    return None


def needs_a_person(
    metrics: dict[str, Any], baseline: dict[str, Any], n_learnt: int, verdict: str
) -> Decision | None:
    """Reject a model not known to be useful, whatever the champion is; None if it may be.

    `n_learnt` counts the labels that it learnt, `verdict` is that of its report.
    """
    ap, constant = metrics.get("macro_ap"), baseline.get("macro_ap")
    figures = {"macro_ap": ap, "constant": constant, "n": metrics["n"]}
    interval = (metrics.get("interval") or {}).get("macro_ap")
    if n_learnt == 0:
        return Decision(False, LEARNT_NOTHING, figures)
    if not metrics["n"]:
        return Decision(False, UNMEASURED, figures)
    if ap is None:
        return Decision(False, ONE_SIDED, figures)
    if interval and constant is not None and interval[1] < constant:
        said = f"macro AP {ap:.3f}, the baseline has {constant:.3f}"
        return Decision(False, f"it ranks worse than the baseline: {said}", figures)
    if verdict == MISLEADING:
        return Decision(False, f"its probabilities are {MISLEADING}", figures)
    return None


def decide_first(metrics: dict[str, Any], baseline: dict[str, Any]) -> Decision:
    """Decide on the first model of a library: promote it unless it needs a person."""
    figures = {"macro_ap": metrics.get("macro_ap"), "constant": baseline.get("macro_ap")}
    return Decision(True, "the first usable model of this library", figures)


def decide_against(
    champion: ModelVersion,
    candidate: npt.NDArray[Any],
    in_use: npt.NDArray[Any],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
) -> Decision:
    """Compare two models on the tracks and labels that both can be evaluated on.

    Reject only if the whole 95 % interval of the difference is below zero.
    """
    n = int(labels.label_mask.any(axis=1).sum())
    verdict = paired.is_plainly_worse(candidate, in_use, labels, groups=groups)
    compared = paired.paired_bootstrap(candidate, in_use, labels, groups=groups)
    figures = {"n": n, "against": champion.number, **compared}
    if verdict is None or compared["difference"] is None:
        return Decision(
            True,
            f"{n} audit tracks can be compared, {_too_few(n, labels, groups)} to tell it from "
            f"model {champion.number}: the newer answers decide",
            figures,
        )
    span = (
        f"macro AP {compared['difference']:+.3f} against model {champion.number} on {n} audit "
        f"tracks (95 % between {compared['lo']:+.3f} and {compared['hi']:+.3f})"
    )
    if verdict:
        return Decision(False, f"clearly worse: {span}", figures)
    return Decision(True, f"not clearly worse: {span}", figures)


def _too_few(n: int, labels: LabelMatrix, groups: npt.NDArray[Any]) -> str:
    """Return what there is too little of: tracks, or else split groups."""
    n_groups = judged_groups(labels, groups)
    if n < paired.MINIMUM_TRACKS_TO_COMPARE or n_groups >= MINIMUM_GROUPS_TO_COMPARE:
        return "too few"
    return f"all of {n_groups} split group{'s' * (n_groups != 1)}, too few"
