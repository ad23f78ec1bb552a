"""Headline figures for people: skill first, macro AP only of frequent labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labeling.templatetags.formats import whole
from labeling.views.learning.shown import Shown, short
from ml.metrics.headline import LEAST_EXPECTED, LEAST_LABELS, LEAST_POSITIVES

Figures = Mapping[str, Any]
#: Below this many audit tracks, out-of-fold figures are shown next to theirs.
FEW_AUDIT_TRACKS = 240
NAMES = {
    "skill": "BCE skill score",
    "macro_ap_10": "macro AP",
    "lwlrap": "lwlrap",
    "micro_f1": "tuned micro F1",
}
HINTS = {
    "skill": "1 - cross-entropy / cross-entropy of the baseline: 0 is no better than the"
    " baseline, 1 is perfect",
    "macro_ap_10": "average precision, averaged over the frequent labels: how well tracks with"
    f" the label rank above those without. A frequent label has {LEAST_POSITIVES} positives on"
    f" these tracks, and {LEAST_EXPECTED} are expected from its share of the training set."
    " Rarer labels would make the figure too high",
    "lwlrap": "how high a track's labels rank among its predictions",
    "micro_f1": "F1 over all labels together, at thresholds tuned without audit tracks",
}
NOT_COMPUTED = (
    "this model was evaluated before these figures existed: open its page, or train again"
)
NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class HeadlineFigure:
    """A headline figure with its name, for a card."""

    key: str
    name: str
    shown: Shown


def shown_headline(found: Figures | None, why_not: str = "") -> dict[str, Shown]:
    """Return each headline figure as text; `why_not` explains why there is none."""
    if not found:
        return {key: Shown("–", "", why_not or NOT_COMPUTED) for key in NAMES}
    return {key: _shown(key, found, why_not) for key in NAMES}


def headline_figures_of(found: Figures | None, why_not: str = "") -> list[HeadlineFigure]:
    """Return the headline figures in order, for the cards of a report."""
    shown = shown_headline(found, why_not)
    return [HeadlineFigure(key, NAMES[key], shown[key]) for key in NAMES]


def _shown(key: str, found: Figures, why_not: str) -> Shown:
    value = found.get(key)
    if value is None:
        if key == "macro_ap_10" and found.get("n"):
            return Shown(NOT_SHOWN, few_frequent(found), HINTS[key])
        return Shown("–", "", why_not or HINTS[key])
    is_signed = key == "skill"
    parts = []
    if key == "macro_ap_10":
        parts.append(f"{whole(found['labels_10'])} of {whole(found['labels'])} labels")
    prior = (found.get("baseline") or {}).get(key)
    if prior is not None:
        parts.append("baseline 0" if is_signed else f"baseline {short(prior)}")
    interval = (found.get("intervals") or {}).get(key)
    if interval:
        low, high = (short(bound, signed=is_signed) for bound in interval)
        parts.append(f"95 % CI {low} to {high}")
    return Shown(short(value, signed=is_signed), ", ".join(parts), HINTS[key])


def few_frequent(found: Figures) -> str:
    """Say how many labels have enough positives for macro AP, and how many are needed."""
    n, of = found["labels_10"], found["labels"]
    needed = min(LEAST_LABELS, of)
    return (
        f"{whole(n)} of {whole(of)} labels {'has' if n == 1 else 'have'} {LEAST_POSITIVES} "
        f"positives, {needed} are needed"
    )


def out_of_fold_note(metrics: Figures) -> str:
    """Return the out-of-fold skill of a model with few audit tracks; else empty."""
    found = (metrics.get("out_of_fold") or {}).get("headline") or {}
    if found.get("skill") is None or (metrics.get("n") or 0) >= FEW_AUDIT_TRACKS:
        return ""
    interval = found["intervals"]["skill"]
    span = f", 95 % CI {interval[0]:+.2f} to {interval[1]:+.2f}" if interval else ""
    return f"out-of-fold {found['skill']:+.2f} on {whole(found['n'])} training tracks{span}"
