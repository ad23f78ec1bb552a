"""Whether a new model is put in use by itself, and why, in words for the Models page.

What nothing has measured waits for a person, and so does what is measured as worse than
guessing, what is there to be compared with, and what was measured by its own selection of
answers alone. Any other is put in use unless it is plainly worse than the present one on audit
tracks that neither learnt from.
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
    "nothing has measured it, as no audit track with features was judged yet: it waits here. "
    "Label tracks of the audit stratum, they come up in everybody's queue, or put it in use by "
    "hand on the Models page"
)
ONE_SIDED = (
    "nothing has measured it, as on the audit tracks judged so far no label is both given "
    "and not given: it waits here. Label more tracks of the audit stratum, or put it in use by "
    "hand on the Models page"
)
STRANGE = (
    "it knows a label that the library does not have (such as Others): it is there to be "
    "compared with, and never put in use by itself"
)
RECIPE = "its recipe is there to be compared with: it is never put in use by itself"
SELECTED = (
    "it learnt from a selection of the answers and was measured by those alone: compare it "
    "with the one in use, and put it in use by hand if it is the better one"
)
LEARNT_NOTHING = "it learnt no label"
#: Where a decision holds whatever is in use.
ANY = -1


@dataclass(frozen=True)
class Decision:
    """Whether a model is put in use, why in plain words, and the figures behind it.

    `against_id` is the model that was in use when this was decided (None: none was), or `ANY`.
    """

    is_promoted: bool
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)
    against_id: int | None = ANY


def for_comparison(
    selection: Selection, strangers: list[str], recipe: str = ""
) -> Decision | None:
    """Hold back what is there to be compared with; None where it is made to be used."""
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
    """Hold back what is not known to be any good, whatever is in use; None where it may be.

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
        said = f"macro AP {ap:.3f}, a constant has {constant:.3f}"
        return Decision(False, f"it ranks worse than guessing: {said}", figures)
    if verdict == MISLEADING:
        return Decision(False, f"its probabilities are {MISLEADING}", figures)
    return None


def decide_first(metrics: dict[str, Any], baseline: dict[str, Any]) -> Decision:
    """Decide on the first model of a library: anything that is not held back is used."""
    figures = {"macro_ap": metrics.get("macro_ap"), "constant": baseline.get("macro_ap")}
    return Decision(True, "the first usable model of this library", figures)


def decide_against(
    champion: ModelVersion,
    candidate: npt.NDArray[Any],
    in_use: npt.NDArray[Any],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
) -> Decision:
    """Compare two models on the tracks and labels that both can be judged on.

    Refused only when the whole 95 % interval of the difference lies below zero.
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
        return Decision(False, f"plainly worse: {span}", figures)
    return Decision(True, f"not plainly worse: {span}", figures)


def _too_few(n: int, labels: LabelMatrix, groups: npt.NDArray[Any]) -> str:
    """Say what is too little: the tracks, or else the split groups that they are of."""
    n_groups = judged_groups(labels, groups)
    if n < paired.MINIMUM_TRACKS_TO_COMPARE or n_groups >= MINIMUM_GROUPS_TO_COMPARE:
        return "too few"
    return f"all of {n_groups} split group{'s' * (n_groups != 1)}, too few"
