"""Selection rules: the labels and tracks that a recipe learns from, as data and arithmetic.

Stage: between a snapshot and a training. The snapshot applies `annotators`, `negatives`,
`facet` and `min_support`, because it reads the answers. The other rules are pure functions on a
`LabelMatrix`. Numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ml.constants import OTHERS
from ml.errors import ParameterError
from ml.types import Hashed, Indices, LabelMatrix, require_choice

BoolArray = npt.NDArray[np.bool_]

Annotators = Literal["all", "legacy", "current"]
Negatives = Literal["first-use", "closed", "open"]
OthersRule = Literal["keep", "fold", "drop"]

#: Added before rounding down: 0.29 x 100 is 28.999... and means 29 tracks.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class SelectionRules(Hashed):
    """Choice of the judgements and labels that a recipe learns from.

    Attributes
    ----------
    facet : name of the facet; "" means every facet, or the caller's choice.
    annotators : "all", "legacy" (imported answers) or "current" (answers of the current
        curator).
    negatives : meaning of a label that an imported answer does not give: "closed" negative,
        "open" not judged, "first-use" not judged before that annotator first used the label.
    top_labels : number of the most frequent labels that are kept as they are; 0 means every
        label with support.
    others : treatment of the labels beyond them: "keep" as they are, "fold" into one label
        Others, or "drop" them together with the tracks that had no other label.
    min_support : fewest tracks with a label for it to be learnt, >= 1.
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
    """Fold the labels beyond the `top` most frequent into one last label, Others.

    Frequency is the number of judged tracks with a label; between equals the first column wins.
    The kept columns stay in their order. A label that is already called Others is folded too,
    however frequent it is.

    Parameters
    ----------
    labels : (n_tracks, n_labels). names : (n_labels,). top : labels to keep; 0 keeps all.

    Returns
    -------
    tuple of LabelMatrix and names : a track has Others if it has any folded label. It does not
        have Others if all folded labels were judged and none is given. Otherwise Others is not
        judged. Without a label beyond `top` nothing changes.

    Raises
    ------
    ParameterError : there is not one name a label, or `top` is below 0.

    Examples
    --------
    >>> given = np.array([[True, False, True], [True, True, False]])
    >>> folded, names = fold_others(LabelMatrix(given, np.ones_like(given)), "abc", 1)
    >>> names, folded.labels.tolist()
    (('a', 'Others'), [[True, True], [True, True]])
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


def any_of(labels: LabelMatrix, columns: Indices) -> tuple[BoolArray, BoolArray]:
    """Merge several labels into one that applies if any of them does.

    Parameters
    ----------
    labels : (n_tracks, n_labels). columns : int (m,), the labels to merge.

    Returns
    -------
    tuple of has, is_judged : bool (n_tracks,). The merged label is judged if one of the labels
        is given, or if all of them were judged.

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False]]), np.array([[True, False]]))
    >>> [found.tolist() for found in any_of(labels, np.array([0, 1]))]
    [[True], [True]]
    """
    has = np.asarray(_positives(labels)[:, columns].any(axis=1))
    return has, np.asarray(has | labels.label_mask[:, columns].all(axis=1))


def drop_others(
    labels: LabelMatrix, names: Sequence[str], top: int
) -> tuple[LabelMatrix, tuple[str, ...]]:
    """Drop the labels that `fold_others` would fold; all tracks stay.

    A track whose labels are all dropped becomes a negative for the remaining labels that were
    judged. The caller decides whether to learn from it (`select` does not).

    Parameters
    ----------
    labels : (n_tracks, n_labels). names : (n_labels,). top : labels to keep; 0 keeps all.

    Returns
    -------
    tuple of LabelMatrix and names : of the remaining labels, in their order.

    Raises
    ------
    ParameterError : there is not one name a label, or `top` is below 0.
    """
    kept, beyond = _ranked(labels, names, top)
    if len(beyond) == 0:
        return labels, tuple(names)
    rest = LabelMatrix(labels.labels[:, kept], labels.label_mask[:, kept])
    return rest, tuple(names[column] for column in kept)


def has_beyond(names: Sequence[str], top: int) -> bool:
    """Say whether there are labels beyond the `top` most frequent; Others does not count.

    Parameters
    ----------
    names : of all labels. top : labels to keep; 0 keeps all.

    Returns
    -------
    bool

    Examples
    --------
    >>> has_beyond(["Jazz", "Rock"], 1), has_beyond(["Jazz", "Others"], 1)
    (True, False)
    """
    return 0 < top < sum(name != OTHERS for name in names)


def _ranked(labels: LabelMatrix, names: Sequence[str], top: int) -> tuple[Indices, Indices]:
    """Return the columns to keep and the columns beyond, each in their order."""
    if len(names) != labels.n_labels:
        raise ParameterError(
            f"{len(names)} names for {labels.n_labels} labels; give one name a label"
        )
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


def thin_combinations(labels: LabelMatrix, cap: float, rare_share: float, seed: int) -> Indices:
    """Choose the tracks that stay when frequent label combinations are thinned.

    Parameters
    ----------
    labels : (n_tracks, n_labels). The combination of a track is the set of its labels; a track
        without labels has none and stays.
    cap : share of all tracks, in [0, 1], that a combination may have; it keeps that many
        tracks, rounded down, and at least one. 0 thins nothing.
    rare_share : a combination with a label that fewer than this share of all tracks have is
        never thinned.
    seed : of the choice among the tracks of a combination.

    Returns
    -------
    Indices : int (m,), rows that stay, ascending.

    Raises
    ------
    ParameterError : a share is not in [0, 1].

    Examples
    --------
    >>> given = np.ones((10, 1), bool)
    >>> len(thin_combinations(LabelMatrix(given, given), cap=0.3, rare_share=0.0, seed=0))
    3
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
    # Sorted by combination, in random order within: a track has a rank in its combination.
    order = np.lexsort((np.random.default_rng(seed).random(n_tracks), combination))
    sizes = np.bincount(combination)
    rank = np.empty(n_tracks, dtype=np.intp)
    rank[order] = np.arange(n_tracks) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.flatnonzero(is_safe | (rank < limit))


@dataclass(frozen=True)
class Selected:
    """Result of the selection rules.

    Attributes
    ----------
    rows : int (m,), selected tracks, ascending.
    labels : (m, k), of these tracks. names : (k,), of the selected labels.
    """

    rows: Indices
    labels: LabelMatrix
    names: tuple[str, ...]


def select(
    labels: LabelMatrix, names: Sequence[str], rules: SelectionRules, seed: int = 0
) -> Selected:
    """Apply the rules about labels and tracks (not those about answers).

    1. Combinations are thinned by the labels as given, so that a track with a rare label stays
       even if that label is folded into Others later.
    2. Labels beyond the most frequent are folded or dropped; frequency is over all tracks,
       before the thinning. If labels are dropped, tracks that had no other label are left out.
    3. Labels that fewer than `min_support` of the remaining tracks have are left out.

    Parameters
    ----------
    labels : (n_tracks, n_labels). names : (n_labels,). rules : to apply.
    seed : of the thinning.

    Returns
    -------
    Selected : may be empty.

    Raises
    ------
    ParameterError : there is not one name a label.
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
