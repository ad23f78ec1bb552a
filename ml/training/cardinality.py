"""How many labels of a facet a track carries: learnt, and used to say which. Numpy only.

Stage: train, after calibration, on tracks that the scores were not learnt from.

Curators give a track one genre or two. A network that answers every label by itself, and has
few tracks to learn from, is unsure between six genres and gives each a little. Here the answers
of a facet are weighed by how many they are: a set S of labels has the probability

    P(S)  ~  w[|S|]  prod_{k in S} p_k  prod_{k not in S} (1 - p_k)

with p_k what the network says of label k by itself, and w learnt by maximum likelihood from how
many labels tracks have [1]_. With equal weights nothing changes.

A network that has seen enough knows of itself that one genre makes another unlikely: to weigh
its answers again would count the same twice. So the log odds move only part of the way, a
`strength` between 0 and 1, the one at which the cross-entropy is lowest on the same tracks.

.. [1] Swersky, Tarlow, Adams, Zemel & Frey, "Probabilistic n-choose-k models for classification
   and ranking", NIPS 2012.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import LabelMatrix

Doubles = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

#: Tracks with enough labels of the facet judged; on simulated libraries ten were enough to
#: gain, forty gave nearly all there is to gain.
MINIMUM_FOR_COUNTS = 40
#: Of the labels of a facet, what must be judged of a track. A label that came late is judged on
#: few; where only what applies was written down, how many do not is not known.
_ENOUGH_JUDGED = 0.5
_MAX_ROUNDS, _SMALLEST_CHANGE = 500, 1e-6
_SMALLEST = 1e-12
_STRENGTHS = np.linspace(0, 1, 21)
_BATCH = 4_096


@dataclass(frozen=True)
class FacetCounts:
    """The weights of one facet.

    Attributes
    ----------
    columns : of the facet's labels, at least two. weights : float64 (m,), above 0, the largest
        is 1: of 0, 1, ..., and of m - 1 labels or more.
    strength : above 0, at most 1: how far the log odds move to what the weights say.
    """

    columns: IndexArray
    weights: Doubles
    strength: float = 1.0


@dataclass(frozen=True)
class LabelCounts:
    """The weights of every facet that has any; without one `apply` changes nothing."""

    facets: tuple[FacetCounts, ...] = ()

    def apply(self, probabilities: npt.NDArray[Any]) -> Doubles:
        """Return float64 (n_tracks, n_labels): of each label, given how many tracks carry.

        Parameters
        ----------
        probabilities : (n_tracks, n_labels) in 0..1, of each label by itself.
        """
        found = probabilities.astype(np.float64)
        for facet in self.facets:
            for begin in range(0, len(found), _BATCH):
                part = found[begin : begin + _BATCH, facet.columns]
                found[begin : begin + _BATCH, facet.columns] = _weighed(
                    part, *_worth(part, facet.weights), facet.strength
                )
        return found

    def to_dict(self) -> list[dict[str, Any]]:
        """Return what JSON can hold; `from_dict` brings it back exactly."""
        return [
            {
                "columns": facet.columns.tolist(),
                "weights": facet.weights.tolist(),
                "strength": facet.strength,
            }
            for facet in self.facets
        ]

    @classmethod
    def from_dict(cls, values: Sequence[dict[str, Any]]) -> Self:
        """Rebuild from `to_dict`."""
        return cls(
            tuple(
                FacetCounts(
                    np.array(one["columns"], np.intp),
                    np.array(one["weights"], float),
                    float(one["strength"]),
                )
                for one in values
            )
        )


def fit_label_counts(
    probabilities: npt.NDArray[Any],
    labels: LabelMatrix,
    facets: Sequence[str],
    is_learnt: npt.NDArray[np.bool_],
) -> LabelCounts:
    """Learn the weights of every facet.

    Parameters
    ----------
    probabilities : (n_tracks, n_labels), calibrated, of tracks that were not learnt from.
    labels : what was judged on these tracks. facets : n_labels names; labels of one name are
        counted together. is_learnt : bool (n_labels,); other labels are not counted.

    Returns
    -------
    LabelCounts : a facet is left out where fewer than two of its labels were learnt, fewer than
        `MINIMUM_FOR_COUNTS` tracks have half of them judged, or it would make nothing better.

    Raises
    ------
    ParameterError : shapes differ.
    """
    shape = labels.labels.shape
    if probabilities.shape != shape or len(facets) != shape[1] or len(is_learnt) != shape[1]:
        raise ParameterError(
            f"probabilities {probabilities.shape}, {len(facets)} facets and {len(is_learnt)} "
            f"labels learnt do not fit labels {shape}"
        )
    return LabelCounts(tuple(_facets(probabilities, labels, facets, is_learnt)))


def _facets(
    probabilities: npt.NDArray[Any],
    labels: LabelMatrix,
    facets: Sequence[str],
    is_learnt: npt.NDArray[np.bool_],
) -> Iterator[FacetCounts]:
    for name in dict.fromkeys(facets):
        columns = np.flatnonzero(is_learnt & np.array([facet == name for facet in facets]))
        if len(columns) < 2:
            continue
        is_enough = labels.label_mask[:, columns].mean(axis=1) >= _ENOUGH_JUDGED
        if is_enough.sum() < MINIMUM_FOR_COUNTS:
            continue
        cells = np.ix_(np.flatnonzero(is_enough), columns)
        held = LabelMatrix(labels.labels[cells], labels.label_mask[cells])
        p = probabilities[cells].astype(float)
        weights = _weights(p, held)
        strength = _strength(p, held, weights)
        if strength > 0:
            yield FacetCounts(columns, weights, strength)


def _strength(p: Doubles, labels: LabelMatrix, weights: Doubles) -> float:
    """Return how far to go for the lowest cross-entropy of what was judged."""
    has, has_not = _worth(p, weights)
    losses = [_bce(_weighed(p, has, has_not, one), labels) for one in _STRENGTHS]
    return float(_STRENGTHS[int(np.argmin(losses))])


def _bce(p: Doubles, labels: LabelMatrix) -> float:
    right = np.where(labels.labels, p, 1 - p)[labels.label_mask]
    return float(-np.log(np.maximum(right, _SMALLEST)).mean())


def _weights(probabilities: Doubles, labels: LabelMatrix) -> Doubles:
    """Weights under which tracks are expected to have as many labels as they have.

    That is where the likelihood of the numbers is highest; each round scales every weight by
    how far off its number is. What was not judged of a track may apply: its number then is
    spread as the weights have it (EM). To the tracks comes one of each number, of which nothing
    else is known: where the tracks say little of a number, its weight stays near the others.
    """
    given = np.where(labels.label_mask, labels.labels, probabilities)
    n_given = (labels.labels & labels.label_mask).sum(axis=1)
    # The last is "or more"; where tracks have no more labels than there are, it is just that.
    highest = min(int(n_given.max()) + 1, given.shape[1])
    unknown = np.full((highest + 1, highest + 1), 1 / (highest + 1))
    alone = np.concatenate([_numbers(probabilities, highest), unknown])
    seen = np.concatenate([_numbers(given, highest), np.eye(highest + 1)])
    weights = np.ones(highest + 1)
    for _ in range(_MAX_ROUNDS):
        change = _shares(seen * weights) / _shares(alone * weights)
        weights = weights * change
        weights /= weights.max()
        if np.abs(change - 1).max() < _SMALLEST_CHANGE:
            break
    return weights


def _shares(numbers: Doubles) -> Doubles:
    return np.asarray((numbers / numbers.sum(axis=1, keepdims=True)).mean(axis=0))


def _numbers(probabilities: Doubles, highest: int) -> Doubles:
    """Chances of 0, 1, ..., `highest` or more labels, of (n_tracks, highest + 1)."""
    found = _none_yet(len(probabilities), highest)
    for one in probabilities.T:
        found = _one_more(found, one[:, None])
    return found


def _none_yet(n_tracks: int, highest: int) -> Doubles:
    found = np.zeros((n_tracks, highest + 1))
    found[:, 0] = 1
    return found


def _one_more(numbers: Doubles, p: Doubles) -> Doubles:
    """Return the chances of each number with one label more, whose probability is p (n, 1)."""
    found = numbers * (1 - p)
    found[:, 1:] += numbers[:, :-1] * p
    found[:, -1:] += numbers[:, -1:] * p
    return found


def _worth(p: Doubles, weights: Doubles) -> tuple[Doubles, Doubles]:
    """What it is worth that a label is there, and that it is not: both (n_tracks, n_labels).

    The mean weight over how many the others are: exact, in n_labels x n_weights steps.
    `before[k]` are the chances of each number among the labels before k; `after` what a number
    so far is worth with the labels behind k still to come.
    """
    n_tracks, n_labels = p.shape
    highest = len(weights) - 1
    before = [_none_yet(n_tracks, highest)]
    for label in range(n_labels - 1):
        before.append(_one_more(before[-1], p[:, label : label + 1]))
    up = np.minimum(np.arange(highest + 1) + 1, highest)
    after = np.broadcast_to(weights, (n_tracks, highest + 1))
    has, has_not = np.empty_like(p), np.empty_like(p)
    for label in reversed(range(n_labels)):
        one = p[:, label : label + 1]
        has[:, label] = (before[label] * after[:, up]).sum(axis=1)
        has_not[:, label] = (before[label] * after).sum(axis=1)
        after = one * after[:, up] + (1 - one) * after
    return has, has_not


def _weighed(p: Doubles, has: Doubles, has_not: Doubles, strength: float) -> Doubles:
    """Move the log odds of p by `strength` times the log of has / has_not."""
    yes, no = p * has**strength, (1 - p) * has_not**strength
    return np.asarray(yes / (yes + no))
