"""Consensus of crowds and curators whose accuracy is known.

    python -m benchmarks.consensus [--seeds 20] [--json]

`accuracy` is the share of tracks whose most probable label is the true one, in a crowd of 44
people, ten labels and three spammers with a third of all answers. The oracle knows everybody's
accuracy. `positives` is the expected number of labels that two curators give, as a share of the
true number. `spammers_last` and `covers` are about the reliability of the people. `seconds` is
for 10,000 tracks x 60 labels. Baseline in the same run: plurality. Bars: at most 3 points below
the oracle, 6 above plurality, positives within 5 %, coverage .9, 5 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from benchmarks import report
from ml.consistency.aggregation import count_votes
from ml.consistency.consensus import AGGREGATIONS, Ballots, combined
from ml.consistency.facet_consensus import FacetConsensus, FacetLimits, facet_consensus
from ml.consistency.reliability import reliability_of
from ml.simulation.crowds import (
    CROWD_SPAMMERS,
    Crowd,
    crowd_with_spammers,
    curators_of_label_sets,
)
from ml.types import Bools, Doubles

ONE, FEW = FacetLimits(1, 1), FacetLimits(1, 2)
CURATORS = ((0.8, 0.8), (0.9, 0.75), (0.95, 0.9))
LARGE_TRACKS, LARGE_LABELS = 10_000, 60
BELOW_ORACLE, ABOVE_PLURALITY, POSITIVES_OFF, COVERS, SECONDS = 0.03, 0.06, 0.05, 0.9, 5.0


def main() -> int:
    asked = _arguments()
    crowds = [crowd_with_spammers(seed) for seed in range(asked.seeds)]
    accuracy = _accuracies(crowds)
    plurality = accuracy["plurality"]
    cases = [
        {"method": name, "accuracy_%": 100 * one, "times_plurality": one / plurality}
        for name, one in accuracy.items()
    ]
    others = _positives(asked.seeds) | _reliability(crowds) | {"seconds": _seconds()}
    holds = (
        accuracy["facet"] >= accuracy["oracle"] - BELOW_ORACLE
        and accuracy["facet"] >= plurality + ABOVE_PLURALITY
        and abs(others["positives_least"] - 1) <= POSITIVES_OFF
        and abs(others["positives_most"] - 1) <= POSITIVES_OFF
        and others["covers"] >= COVERS
        and others["spammers_last"] == 1
        and others["seconds"] <= SECONDS
    )
    figures = {"asked": vars(asked), "cases": cases, **others}
    print(json.dumps(figures) if asked.json else f"{report.table(cases)}\n{others}")
    report.write("consensus", figures)
    print("holds" if holds else "over the bars", file=sys.stderr)
    return 0 if holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def _accuracies(crowds: list[Crowd]) -> dict[str, float]:
    """Return the accuracy of each method, on the mean over the crowds."""
    found: dict[str, list[float]] = {name: [] for name in (*AGGREGATIONS, "oracle")}
    for crowd in crowds:
        for name in AGGREGATIONS:
            found[name].append(_share_right(_scores(crowd, name), crowd.truth))
        found["oracle"].append(_share_right(_oracle(crowd), crowd.truth))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _scores(crowd: Crowd, method: str) -> Doubles:
    n_labels = crowd.truth.shape[1]
    ranks = np.zeros(len(crowd.tracks), dtype=np.int64)
    ballots = Ballots(
        crowd.answers, crowd.tracks, crowd.annotators, ranks, [0] * n_labels, len(crowd.truth)
    )
    found = combined(ballots, method, {0: ONE})
    if method in ("facet", "one-coin"):
        return found.probabilities
    # Votes give a track the labels that are settled, not the one with the largest share.
    settled = found.matrix.labels & found.matrix.label_mask
    return settled.astype(np.float64)


def _share_right(scores: Doubles, truth: Bools) -> float:
    """Return the share of tracks whose best label is true; a tie counts in part."""
    best = np.isclose(scores, scores.max(axis=1, keepdims=True))
    return float(((best & truth).sum(axis=1) / best.sum(axis=1)).mean())


def _oracle(crowd: Crowd) -> Doubles:
    """Return the log likelihood of each label for somebody who knows everybody's accuracy."""
    right = crowd.accuracy[crowd.annotators]
    weight = np.log(right * (crowd.truth.shape[1] - 1) / (1 - right))
    scores = np.zeros(crowd.truth.shape)
    np.add.at(scores, crowd.tracks, crowd.answers.labels * weight[:, None])
    return scores


def _positives(n_seeds: int) -> dict[str, float]:
    """Return the least and the largest share of positives that two curators keep."""
    shares = []
    for accuracy in CURATORS:
        for replaces in (True, False):
            for limits in (FEW, FacetLimits()):
                crowds = [
                    curators_of_label_sets(seed, 400, 30, accuracy, replaces=replaces)
                    for seed in range(n_seeds)
                ]
                found = sum(_fitted(one, limits).probabilities.sum() for one in crowds)
                shares.append(float(found / sum(one.truth.sum() for one in crowds)))
    crowd = curators_of_label_sets(0, 400, 30, CURATORS[0])
    one_coin = _scores(crowd, "one-coin").sum() / crowd.truth.sum()
    votes, judged = count_votes(crowd.answers, crowd.tracks, len(crowd.truth))
    majority = (2 * votes > judged).sum() / crowd.truth.sum()
    return {
        "positives_least": min(shares),
        "positives_most": max(shares),
        "positives_one_coin": float(one_coin),
        "positives_majority": float(majority),
    }


def _fitted(crowd: Crowd, limits: FacetLimits) -> FacetConsensus:
    size = len(crowd.truth), crowd.n_people
    return facet_consensus(crowd.answers, crowd.tracks, crowd.annotators, *size, limits)


def _reliability(crowds: list[Crowd]) -> dict[str, float]:
    """Return the share of crowds whose spammers are the lowest, and of intervals that hold."""
    are_last, covers = [], []
    for crowd in crowds:
        people = _fitted(crowd, ONE).people
        found = [reliability_of([people], [who]) for who in range(crowd.n_people)]
        known = sorted((one.value, who) for who, one in enumerate(found) if one is not None)
        lowest = {who for _, who in known[:CROWD_SPAMMERS]}
        are_last.append(lowest == set(range(CROWD_SPAMMERS)))
        covers += [
            one.low <= crowd.accuracy[who] <= one.high
            for who, one in enumerate(found)
            if one is not None
        ]
    return {
        "spammers_last": float(np.mean(are_last)),
        "covers": float(np.mean(covers)),
        "n_intervals": len(covers),
    }


def _seconds() -> float:
    crowd = curators_of_label_sets(0, LARGE_TRACKS, LARGE_LABELS, (0.9, 0.8, 0.85))
    start = time.process_time()
    _fitted(crowd, FEW)
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
