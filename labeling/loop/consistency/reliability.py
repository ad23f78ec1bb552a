"""Reliability: how often each annotator is right, by the consensus of each facet."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from labeling.loop.consistency.answer_matrices import FacetAnswers
from labeling.loop.library.weighing import facet_limits
from ml.consistency.facet_consensus import ANY_NUMBER, facet_consensus
from ml.consistency.overlap import FacetAccuracy
from ml.consistency.reliability import Reliability95, reliability_of

#: With only two answers nobody can know who is right.
VOICES = 3
#: Version of the method; figures stored by another one are computed again.
RELIABILITY_METHOD = "facet-1"


def annotator_reliability(shared: list[FacetAnswers]) -> dict[int, Reliability95]:
    """Return how often each annotator is right, by the model that the consensus is made with.

    It is known for annotators who share tracks with at least two others, and who gave enough
    answers to tracks that others judged too.
    """
    met = _met(shared)
    known = sorted(one for one, others in met.items() if len(others) >= VOICES - 1)
    if not known:
        return {}
    limits = facet_limits(facet.facet_id for facet in shared)
    fitted: list[tuple[FacetAccuracy, dict[int, int]]] = []
    for facet in shared:
        people, who = np.unique(facet.annotators, return_inverse=True)
        tracks, which = np.unique(facet.tracks, return_inverse=True)
        consensus = facet_consensus(
            facet.answers,
            which.reshape(-1),
            who.reshape(-1),
            len(tracks),
            len(people),
            limits.get(facet.facet_id, ANY_NUMBER),
        )
        places = {one: place for place, one in enumerate(people.tolist())}
        fitted.append((consensus.people, places))
    found = {}
    for one in known:
        own = [(figures, places[one]) for figures, places in fitted if one in places]
        reliability = reliability_of([part[0] for part in own], [part[1] for part in own])
        if reliability is not None:
            found[one] = reliability
    return found


def shared_support(shared: list[FacetAnswers]) -> dict[int, int]:
    """Return how many answers each annotator gave that somebody else answered too."""
    support: dict[int, int] = defaultdict(int)
    for facet in shared:
        _, which, n_each = np.unique(facet.tracks, return_inverse=True, return_counts=True)
        is_shared = n_each[which.reshape(-1)] >= 2
        people, counts = np.unique(facet.annotators[is_shared], return_counts=True)
        for one, n in zip(people.tolist(), counts.tolist(), strict=True):
            support[one] += n
    return dict(support)


def _met(shared: list[FacetAnswers]) -> dict[int, set[int]]:
    """Return with whom each annotator shares a track."""
    met: dict[int, set[int]] = defaultdict(set)
    for facet in shared:
        for a, b in facet.pairs():
            met[a].add(b)
            met[b].add(a)
    return met
