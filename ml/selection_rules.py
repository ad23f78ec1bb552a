"""What of a library's judgements is learnt from: the rules as data, and their arithmetic.

Stage: between a snapshot and a training. Whose answers count and what a blank means is decided
where the answers are (`annotators`, `negatives`, `facet`, `min_support`); the rest are pure
functions on a `LabelMatrix`. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ml.errors import ParameterError
from ml.types import Hashed, require_choice

Annotators = Literal["all", "legacy", "current"]
Negatives = Literal["first-use", "closed", "open"]
OthersRule = Literal["keep", "fold", "drop"]


@dataclass(frozen=True)
class SelectionRules(Hashed):
    """Which judgements and labels a recipe learns from.

    Attributes
    ----------
    facet : name of the facet; "" means every facet, or the caller's choice.
    annotators : "all", "legacy" (answers that were imported) or "current" (those given by
        the curator of today).
    negatives : what a blank of an imported answer means: "closed" a no, "open" not judged,
        "first-use" not judged before that annotator first used the label.
    top_labels : the most frequent labels that stand for themselves; 0 means every label with
        support.
    others : what becomes of the labels beyond them: "keep" as they are, "fold" into one label
        Others, "drop" the labels (the tracks stay).
    min_support : tracks that a label must have to be learnt, >= 1.
    combination_cap : share of all tracks, in [0, 1], above which a label combination is
        thinned; 0 thins nothing.
    rare_share : a track with a label of a smaller share than this, in [0, 1], is never thinned.

    Raises
    ------
    ParameterError : a value is not a known choice or out of range.
    """

    facet: str = ""
    annotators: Annotators = "all"
    negatives: Negatives = "first-use"
    top_labels: int = 0
    others: OthersRule = "keep"
    min_support: int = 5
    combination_cap: float = 0.0
    rare_share: float = 0.01

    def __post_init__(self) -> None:
        require_choice("annotators", self.annotators, get_args(Annotators))
        require_choice("negatives", self.negatives, get_args(Negatives))
        require_choice("others", self.others, get_args(OthersRule))
        if self.top_labels < 0:
            raise ParameterError(f"top_labels is {self.top_labels}; it must be at least 0")
        if self.min_support < 1:
            raise ParameterError(f"min_support is {self.min_support}; it must be at least 1")
        _require_share("combination_cap", self.combination_cap)
        _require_share("rare_share", self.rare_share)


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ParameterError(f"{name} is {value}; it must lie in [0, 1]")
