"""What of a library's judgements is learnt from: the rules as data, and their arithmetic.

Stage: between a snapshot and a training. Whose answers count and what a blank means is decided
where the answers are (`annotators`, `negatives`, `facet`, `min_support`); the rest are pure
functions on a `LabelMatrix`. Numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ml.constants import OTHERS
from ml.errors import ParameterError
from ml.types import Hashed, LabelMatrix, require_choice

IndexArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

Annotators = Literal["all", "legacy", "current"]
Negatives = Literal["first-use", "closed", "open"]
OthersRule = Literal["keep", "fold", "drop"]

#: 0.29 x 100 is 28.999...: a share of tracks is a whole number where it should be one.
_ROUNDING = 1e-9


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
        Others, or "drop" the labels, and the tracks that had only those.
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


def fold_others(
    labels: LabelMatrix, names: Sequence[str], top: int
) -> tuple[LabelMatrix, tuple[str, ...]]:
    """Put the labels beyond the `top` most frequent into one last label, Others.

    Frequency is the number of judged tracks that have a label; of equals the first column
    wins. The kept columns stay in their order. A label already called Others is put into it
    too, however frequent.

    Returns
    -------
    The matrix and the names of its columns. A track has Others, once, if it has any of the
    folded labels; it has it not if all of them were judged and none is given; in every other
    case Others is not judged. With `top` 0, or no label beyond it, everything stays as it is.
    """
    kept, beyond = _ranked(labels, names, top)
    if len(beyond) == 0:
        return labels, tuple(names)
    has, is_judged = any_of(labels, beyond)
    folded = LabelMatrix(
        np.column_stack([labels.labels[:, kept], has]),
        np.column_stack([labels.label_mask[:, kept], is_judged]),
    )
    return folded, (*(names[column] for column in kept), OTHERS)


def any_of(labels: LabelMatrix, columns: IndexArray) -> tuple[BoolArray, BoolArray]:
    """Return (has, is_judged), both (n_tracks,), of a label that stands for several columns.

    A track has it if it has any of them. That is judged where it has one, or where all of them
    were judged.
    """
    has = np.asarray(_positives(labels)[:, columns].any(axis=1))
    return has, np.asarray(has | labels.label_mask[:, columns].all(axis=1))


def drop_others(
    labels: LabelMatrix, names: Sequence[str], top: int
) -> tuple[LabelMatrix, tuple[str, ...]]:
    """Leave out the labels that `fold_others` would put into Others; all tracks stay.

    A track all of whose labels are left out is a no to what remains, where that was judged;
    whether it is learnt from is the caller's choice (`select` leaves it out).
    """
    kept, beyond = _ranked(labels, names, top)
    if len(beyond) == 0:
        return labels, tuple(names)
    rest = LabelMatrix(labels.labels[:, kept], labels.label_mask[:, kept])
    return rest, tuple(names[column] for column in kept)


def has_beyond(names: Sequence[str], top: int) -> bool:
    """Say whether labels are left beyond the `top` most frequent; Others is none of them."""
    return 0 < top < sum(name != OTHERS for name in names)


def _ranked(
    labels: LabelMatrix, names: Sequence[str], top: int
) -> tuple[IndexArray, IndexArray]:
    """Return the columns that stand for themselves and those beyond, each in their order."""
    if len(names) != labels.n_labels:
        raise ParameterError(f"{len(names)} names for {labels.n_labels} labels")
    if top < 0:
        raise ParameterError(f"top is {top}; it must be at least 0")
    is_others = np.array([name == OTHERS for name in names], dtype=bool)
    if not has_beyond(names, top):
        return np.arange(labels.n_labels), np.zeros(0, dtype=np.intp)
    counts = np.where(is_others, -1, _positives(labels).sum(axis=0))
    order = np.argsort(-counts, kind="stable")
    return np.sort(order[:top]), np.sort(order[top:])


def _positives(labels: LabelMatrix) -> BoolArray:
    return np.asarray(labels.labels & labels.label_mask)


def thin_combinations(
    labels: LabelMatrix, cap: float, rare_share: float, seed: int
) -> IndexArray:
    """Choose the tracks that stay when frequent label combinations are thinned.

    Parameters
    ----------
    labels : what was judged. A track's combination is the set of the labels it has; a track
        without a label has none and stays.
    cap : share of all tracks, in [0, 1], that a combination may have; it keeps that many
        tracks, rounded down, and at least one. 0 thins nothing.
    rare_share : a combination with a label that fewer than this share of all tracks have is
        never thinned.
    seed : of the choice among the tracks of a combination.

    Returns
    -------
    Rows, ascending.

    Raises
    ------
    ParameterError : a share is not in [0, 1].
    """
    _require_share("cap", cap)
    _require_share("rare_share", rare_share)
    positives = _positives(labels)
    n_tracks = len(positives)
    if cap == 0 or n_tracks == 0:
        return np.arange(n_tracks)
    limit = max(1, int(cap * n_tracks + _ROUNDING))
    is_rare = positives.sum(axis=0) < rare_share * n_tracks
    is_safe = positives[:, is_rare].any(axis=1) | ~positives.any(axis=1)
    combination = np.unique(positives, axis=0, return_inverse=True)[1].reshape(-1)
    # By combination, within it by chance: a track's place is its rank within the combination.
    order = np.lexsort((np.random.default_rng(seed).random(n_tracks), combination))
    sizes = np.bincount(combination)
    rank = np.empty(n_tracks, dtype=np.intp)
    rank[order] = np.arange(n_tracks) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.flatnonzero(is_safe | (rank < limit))


@dataclass(frozen=True)
class Selected:
    """What the rules leave: `labels` and their `names`, of the tracks `rows` (ascending)."""

    rows: IndexArray
    labels: LabelMatrix
    names: tuple[str, ...]


def select(
    labels: LabelMatrix, names: Sequence[str], rules: SelectionRules, seed: int = 0
) -> Selected:
    """Apply the rules that concern labels and tracks, not answers.

    1. Combinations are thinned by the labels as they were given, so that a track with a rare
       label stays though that label is Others later.
    2. Others are folded or dropped; the most frequent labels are those of all tracks, before
       the thinning. Where they are dropped, a track that had only those is left out.
    3. Labels that fewer than `min_support` of the remaining tracks have are left out.

    Returns
    -------
    Selected; it may be empty.
    """
    rows = thin_combinations(labels, rules.combination_cap, rules.rare_share, seed)
    changed, left = labels, tuple(names)
    if rules.others == "fold":
        changed, left = fold_others(labels, names, rules.top_labels)
    if rules.others == "drop":
        changed, left = drop_others(labels, names, rules.top_labels)
        lost_all = _positives(labels).any(axis=1) > _positives(changed).any(axis=1)
        rows = rows[~lost_all[rows]]
    changed = changed.rows(rows)
    support = _positives(changed).sum(axis=0)
    columns = np.flatnonzero(support >= rules.min_support)
    kept = LabelMatrix(changed.labels[:, columns], changed.label_mask[:, columns])
    return Selected(rows, kept, tuple(left[column] for column in columns))
