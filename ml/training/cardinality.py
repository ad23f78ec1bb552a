"""Cardinality potential: the number of labels of a facet that a track carries. Numpy only.

Stage: train, after calibration, on tracks from which the scores were not learnt.

Curators give a track one genre or two. A network that predicts every label separately, and has
few tracks to learn from, is unsure between six genres and gives each a small probability. The
potential weighs a set S of labels of a facet by the size of the set,

    P(S)  ~  w[|S|]  prod_{k in S} p_k  prod_{k not in S} (1 - p_k)

with p_k the network's probability of label k alone, and w fitted by maximum likelihood to the
numbers of labels that tracks have [1]_. Equal weights change nothing.

A network that has learnt from many tracks already predicts that one genre makes another
unlikely, and the potential would count the same evidence twice. So the log odds move only part
of the way: by a `strength` between 0 and 1, the one of lowest cross-entropy on the same tracks.

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
from ml.types import Doubles, Indices, LabelMatrix

#: Fewest tracks on which enough labels of the facet were judged. On simulated libraries ten
#: gave a gain, and forty nearly all of the gain.
MINIMUM_FOR_COUNTS = 40
#: Share of the labels of a facet that must be judged on a track. A label that was added late is
#: judged on few tracks; a track with positive labels only does not say how many it lacks.
_ENOUGH_JUDGED = 0.5
_MAX_ROUNDS, _SMALLEST_CHANGE = 500, 1e-6
_SMALLEST = 1e-12
_STRENGTHS = np.linspace(0, 1, 21)
_BATCH = 4_096


@dataclass(frozen=True)
class FacetCounts:
    """Cardinality potential of one facet.

    Attributes
    ----------
    columns : int (k,), of the facet's labels, k >= 2.
    weights : float64 (m,), > 0, the largest is 1: of 0, 1, ..., and of m - 1 labels or more.
    strength : in (0, 1], how far the log odds move.
    """

    columns: Indices
    weights: Doubles
    strength: float = 1.0


@dataclass(frozen=True)
class LabelCounts:
    """Cardinality potentials of the facets that have one; without any, `apply` changes nothing.

    Attributes
    ----------
    facets : one potential each.
    """

    facets: tuple[FacetCounts, ...] = ()

    def apply(self, probabilities: npt.NDArray[Any]) -> Doubles:
        """Weigh the probabilities of labels by how many labels a track carries.

        Parameters
        ----------
        probabilities : float (n_tracks, n_labels) in [0, 1], of each label alone.

        Returns
        -------
        Doubles : float64, same shape.

        Examples
        --------
        >>> one_label = FacetCounts(np.array([0, 1]), np.array([0.01, 1.0, 0.01]))
        >>> LabelCounts((one_label,)).apply(np.array([[0.4, 0.4]])).round(2).tolist()
        [[0.5, 0.5]]
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
        """Return the potentials as JSON values, which `from_dict` reads without loss.

        Returns
        -------
        list of dict : columns, weights and strength of each facet.
        """
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
        """Rebuild the potentials.

        Parameters
        ----------
        values : as `to_dict` returned them.

        Returns
        -------
        LabelCounts : with the same weights.
        """
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
    """Fit the cardinality potential of every facet.

    Parameters
    ----------
    probabilities : float (n_tracks, n_labels), calibrated, of tracks that were not learnt from.
    labels : judgements on these tracks.
    facets : (n_labels,) names; labels of one name are counted together.
    is_learnt : bool (n_labels,); other labels are not counted.

    Returns
    -------
    LabelCounts : without the facets of which fewer than two labels were learnt, or half of the
        labels were judged on fewer than `MINIMUM_FOR_COUNTS` tracks, or whose potential would
        not lower the cross-entropy.

    Raises
    ------
    ParameterError : shapes differ.
    """
    shape = labels.labels.shape
    if probabilities.shape != shape or len(facets) != shape[1] or len(is_learnt) != shape[1]:
        raise ParameterError(
            f"probabilities {probabilities.shape}, {len(facets)} facets and {len(is_learnt)} "
            f"labels learnt do not fit labels {shape}; give one of each a label"
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
    """Return the strength of the lowest cross-entropy over judged elements."""
    has, has_not = _worth(p, weights)
    losses = [_bce(_weighed(p, has, has_not, one), labels) for one in _STRENGTHS]
    return float(_STRENGTHS[int(np.argmin(losses))])


def _bce(p: Doubles, labels: LabelMatrix) -> float:
    right = np.where(labels.labels, p, 1 - p)[labels.label_mask]
    return float(-np.log(np.maximum(right, _SMALLEST)).mean())


def _weights(probabilities: Doubles, labels: LabelMatrix) -> Doubles:
    """Return the weights of maximum likelihood for the numbers of labels that tracks have.

    Under these weights the expected numbers are those observed. Each round scales every weight
    by the ratio of the two. Labels that were not judged on a track may apply, so its number is
    spread by the weights (EM). One pseudo-track of each number is added, with nothing else
    known: a weight for which the tracks have little evidence stays near the others.
    """
    given = np.where(labels.label_mask, labels.labels, probabilities)
    n_given = (labels.labels & labels.label_mask).sum(axis=1)
    # The last weight is for "this many or more".
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
    """Return the probability of 0, 1, ..., `highest` or more labels, (n, highest + 1)."""
    found = _none_yet(len(probabilities), highest)
    for one in probabilities.T:
        found = _one_more(found, one[:, None])
    return found


def _none_yet(n_tracks: int, highest: int) -> Doubles:
    found = np.zeros((n_tracks, highest + 1))
    found[:, 0] = 1
    return found


def _one_more(numbers: Doubles, p: Doubles) -> Doubles:
    """Return the probability of each number with one label more, of probability p (n, 1)."""
    found = numbers * (1 - p)
    found[:, 1:] += numbers[:, :-1] * p
    found[:, -1:] += numbers[:, -1:] * p
    return found


def _worth(p: Doubles, weights: Doubles) -> tuple[Doubles, Doubles]:
    """Return the expected weight with each label, and without it: both (n_tracks, n_labels).

    The expectation is over the number of the other labels; it is exact and takes n_labels x
    n_weights steps. `before[k]` is the probability of each number among the labels before k;
    `after` is the expected weight of each such number over the labels after k.
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
