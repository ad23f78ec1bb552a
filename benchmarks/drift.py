"""Drift: how often a planted change is found, alone and among people with few answers.

    python -m benchmarks.drift [--draws 400] [--json]

One annotator gives 30 labels at the study's rates on 150 + 150 audit tracks; one label changes
from 12 % to 2.2 times as much. Sixty others judged 5 to 45 tracks in each period, and nothing
changes for them. Baseline in the same run: every test takes part in the correction. Bar: the
two shares differ by at most .03.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from benchmarks import report
from ml.consistency.drift import benjamini_hochberg, corrected_changes, label_rate_change
from ml.constants import N_TRACKS, study_labels

PEOPLE, N_TARGET, RATE, FACTOR, LABEL = 60, 150, 0.12, 2.2, 3
LEAST_LOW, MOST_LOW = 5, 45
MOST_GAP, LEVEL = 0.03, 0.05
Counts = list[tuple[int, int, int, int]]


def found_shares(draws: int, seed: int = 0) -> dict[str, float]:
    """Return the share of draws that find the change, by correction and company."""
    rng = np.random.default_rng(seed)
    hits = dict.fromkeys(("alone", "beside", "all_alone", "all_beside"), 0)
    for _ in range(draws):
        own = _target(rng)
        others = [one for _ in range(PEOPLE) for one in _unchanged(rng)]
        for name, counts in (("alone", own), ("beside", own + others)):
            hits[name] += bool(corrected_changes(counts).q[0] <= LEVEL)
            p = [label_rate_change(*one) for one in counts]
            every = benjamini_hochberg(np.array([1.0 if one is None else one for one in p]))
            hits[f"all_{name}"] += bool(every[0] <= LEVEL)
    return {name: n / draws for name, n in hits.items()}


def _rates() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rates = np.array([count for _, count in study_labels()]) / N_TRACKS
    rates[LABEL] = RATE
    return rates


def _target(rng: np.random.Generator) -> Counts:
    """Draw the tests of the annotator who changed; the first one is of the changed label."""
    before, after = _rates(), _rates()
    after[LABEL] = RATE * FACTOR
    rows = _tests(rng.binomial(N_TARGET, before), rng.binomial(N_TARGET, after), N_TARGET)
    return [rows.pop(LABEL), *(row for row in rows if row[0] + row[2])]


def _unchanged(rng: np.random.Generator) -> Counts:
    n = int(rng.integers(LEAST_LOW, MOST_LOW + 1))
    rows = _tests(rng.binomial(n, _rates()), rng.binomial(n, _rates()), n)
    return [row for row in rows if row[0] + row[2]]


def _tests(
    before: np.ndarray[tuple[int], np.dtype[np.int64]],
    after: np.ndarray[tuple[int], np.dtype[np.int64]],
    n: int,
) -> Counts:
    return [(int(a), n, int(b), n) for a, b in zip(before, after, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    asked = parser.parse_args()
    found = found_shares(asked.draws)
    text = [{name: f"{share:.3f}" for name, share in found.items()}]
    print(json.dumps(found) if asked.json else report.table(text))
    report.write("drift", {"asked": vars(asked), "shares": found})
    holds = abs(found["alone"] - found["beside"]) <= MOST_GAP
    print("holds" if holds else f"over the bar {MOST_GAP}", file=sys.stderr)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
