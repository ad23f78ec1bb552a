"""Headline figures on small audits: their mean error and what their intervals cover.

    python -m benchmarks.headline [--draws 500] [--json]

One model predicts a simulated pool of 6,000 tracks (55 genres at the study's frequencies, 1.6
a track), so the truth is its value on the whole pool. Audits are drawn as the product does: a
fifth of the albums, then their tracks in random order. For each size the table has, of every
figure, the share of draws that show it, the mean error, and the share of 95 % intervals that
hold the truth. Baseline in the same run: macro AP and skill over all scored labels, with
bootstrap intervals. Bars: a mean error of .01, and a coverage of .92 to .98.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import report
from ml.constants import GENRE_COUNTS
from ml.metrics.headline import HEADLINE_KEYS, Predicted, headline, yardstick
from ml.metrics.intervals import centred_interval, resampling_weights
from ml.metrics.ranking import cross_entropy_sums, macro_average_precision
from ml.metrics.scores import scorable_labels
from ml.simulation.library import SimulationConfig, oracle_probabilities, simulate_tracks
from ml.training.losses import prevalence
from ml.types import Doubles, Indices, LabelMatrix

SIZES = (30, 60, 120, 240)
MOST_ERROR, LEAST_COVER, MOST_COVER = 0.01, 0.92, 0.98
#: Figures of today's reports over all labels scored on the audit, for comparison.
OLD_KEYS = ("old_macro_ap", "old_skill")
N_RESAMPLES = 200


@dataclass(frozen=True)
class Pool:
    """Tracks with the predictions of one model, and the value of each figure on all of them."""

    labels: LabelMatrix
    predicted: Predicted
    prior: Doubles
    album: Indices
    label_ap: Doubles
    truth: dict[str, float]

    def draw(self, n: int, rng: np.random.Generator) -> Indices:
        """Draw an audit of n tracks: a fifth of the albums, then tracks in random order."""
        albums = np.unique(self.album)
        fold = rng.choice(albums, max(1, len(albums) // 5), replace=False)
        return rng.permutation(np.flatnonzero(np.isin(self.album, fold)))[:n]


@dataclass(frozen=True)
class Shown:
    """One figure of one audit; `value` is None if it is not shown."""

    value: float | None
    truth: float
    interval: list[float] | None

    @property
    def holds(self) -> bool:
        """True if the interval includes the truth."""
        return self.interval is not None and (
            self.interval[0] <= self.truth <= self.interval[1]
        )


def simulated_pool(separation: float = 4.2, seed: int = 1, n_tracks: int = 6_000) -> Pool:
    """Simulate a pool; its model is the best possible one with noise in its log odds."""
    config = SimulationConfig(
        n_tracks=n_tracks,
        labels=tuple(GENRE_COUNTS.items()),
        labels_per_track=1.606,
        separation=separation,
        label_noise=0.1,
        seed=seed,
    )
    tracks = simulate_tracks(config)
    rng = np.random.default_rng(seed)
    best = np.clip(oracle_probabilities(tracks), 1e-5, 1 - 1e-5)
    logits = 0.9 * np.log(best / (1 - best)) + 0.8 * rng.normal(size=best.shape) - 0.1
    probabilities = 1 / (1 + np.exp(-logits))
    labels = LabelMatrix(tracks.genres, np.ones_like(tracks.genres))
    prior = prevalence(labels.rows(rng.choice(n_tracks, 600, replace=False)))
    thresholds = np.broadcast_to(1.5 * prior + 0.1, best.shape)
    predicted = Predicted(probabilities, thresholds)
    once = np.ones((n_tracks, 1))
    label_ap = np.array(
        [
            macro_average_precision(
                probabilities[:, [n]],
                LabelMatrix(labels.labels[:, [n]], labels.label_mask[:, [n]]),
                once,
            )[0]
            for n in range(labels.n_labels)
        ]
    )
    whole = headline(predicted, yardstick(labels, prior, prior))
    truth = {name: float(whole[name] or 0.0) for name in HEADLINE_KEYS}  # type: ignore[literal-required]
    truth |= {"old_macro_ap": float(label_ap.mean()), "old_skill": truth["skill"]}
    return Pool(labels, predicted, prior, tracks.album, label_ap, truth)


def audited(pool: Pool, n: int, seed: int) -> dict[str, Shown]:
    """Measure the model on one audit."""
    rows = pool.draw(n, np.random.default_rng([seed, n]))
    labels = pool.labels.rows(rows)
    by = yardstick(labels, pool.prior, pool.prior, pool.album[rows])
    predicted = Predicted(pool.predicted.probabilities[rows], pool.predicted.thresholds[rows])
    found = headline(predicted, by)
    truth = dict(pool.truth)
    if by.is_frequent.any():
        truth["macro_ap_10"] = float(pool.label_ap[by.is_frequent].mean())
    shown = {
        name: Shown(found[name], truth[name], found["intervals"][name])  # type: ignore[literal-required]
        for name in HEADLINE_KEYS
    }
    return shown | _old(pool, rows, seed)


def _old(pool: Pool, rows: Indices, seed: int) -> dict[str, Shown]:
    """Measure macro AP and skill over the labels scored on this audit, by the bootstrap."""
    labels = pool.labels.rows(rows)
    scored = scorable_labels(labels)
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    values = pool.predicted.probabilities[rows][:, scored]
    (drawn,) = resampling_weights(len(rows), pool.album[rows], N_RESAMPLES, seed)
    weights = np.concatenate([np.ones((len(rows), 1)), drawn], axis=1)
    ap = macro_average_precision(values, kept, weights)
    ours, _ = cross_entropy_sums(values, kept)
    its, _ = cross_entropy_sums(np.broadcast_to(pool.prior[scored], values.shape), kept)
    skill = 1 - (ours @ weights) / (its @ weights)
    span = [float(bound) for bound in np.percentile(skill[1:], [2.5, 97.5])]
    return {
        "old_macro_ap": Shown(
            float(ap[0]), pool.truth["old_macro_ap"], centred_interval(ap[1:], float(ap[0]))
        ),
        "old_skill": Shown(float(skill[0]), pool.truth["old_skill"], span),
    }


def summarised(pool: Pool, n: int, draws: int, *, first_seed: int = 0) -> list[dict[str, Any]]:
    """Measure many audits of one size; one row for each figure."""
    found: dict[str, list[Shown]] = defaultdict(list)
    for seed in range(first_seed, first_seed + draws):
        for name, one in audited(pool, n, seed).items():
            found[name].append(one)
    return [_row(n, name, found[name]) for name in (*HEADLINE_KEYS, *OLD_KEYS)]


def _row(n: int, name: str, audits: list[Shown]) -> dict[str, Any]:
    shown = [one for one in audits if one.value is not None]
    with_interval = [one for one in shown if one.interval is not None]
    errors = [one.value - one.truth for one in shown if one.value is not None]
    widths = [one.interval[1] - one.interval[0] for one in with_interval if one.interval]
    return {
        "tracks": n,
        "figure": name,
        "shown": len(shown) / len(audits),
        "error": float(np.mean(errors)) if errors else None,
        "covered": float(np.mean([one.holds for one in with_interval])) if widths else None,
        "width": float(np.mean(widths)) if widths else None,
    }


def is_within_bars(row: dict[str, Any]) -> bool:
    """Return whether a figure is rarely shown, or right on the mean and well covered."""
    if row["figure"] in OLD_KEYS or row["error"] is None:
        return True
    is_covered = LEAST_COVER <= row["covered"] <= MOST_COVER
    return bool(abs(row["error"]) <= MOST_ERROR and is_covered)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--separation", type=float, default=4.2)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    asked = parser.parse_args()
    pool = simulated_pool(asked.separation)
    rows = [row for n in SIZES for row in summarised(pool, n, asked.draws)]
    text = [{name: _text(value) for name, value in row.items()} for row in rows]
    found = {"truth": pool.truth, "rows": rows}
    print(json.dumps(found) if asked.json else report.table(text))
    report.write("headline", {"asked": vars(asked), **found})
    holds = all(is_within_bars(row) for row in rows)
    print("holds" if holds else "over the bars", file=sys.stderr)
    return 0 if holds else 1


def _text(value: Any) -> Any:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
