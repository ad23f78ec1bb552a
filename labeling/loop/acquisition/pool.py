"""The pool that a round chooses from: who is a candidate, and what is known to compare with.

Audit tracks never come in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeling.loop import features
from labeling.loop import predictions as loop_predictions
from labeling.loop.datasets import snapshots
from labeling.loop.library import libraries
from labeling.loop.predictions import Predictions
from labeling.loop.serving import random_order
from labeling.models import Annotator, CurrentAnswer, Library, Presentation, Snapshot
from ml.acquisition import strategies
from ml.acquisition.strategies import Pool
from ml.types import LabelMatrix

#: With fewer tracks judged by persons, half of what the catalogue says stands in as known.
FEW_PERSON_TRACKS = 50


def candidates(library: Library) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the tracks no person has judged, and those judged under older guidelines only.

    Of the training side; what is before somebody at this moment is in neither.
    """
    pool = random_order.servable_tracks(library).filter(is_audit=False)
    busy = Presentation.objects.filter(library=library, outcome=Presentation.Outcome.OPEN)
    taken = set(busy.values_list("track_id", flat=True))
    judged = CurrentAnswer.objects.filter(
        track__library=library, answer__isnull=False, annotator__kind=Annotator.Kind.PERSON
    )
    in_force = libraries.guideline_in_force(library)
    anyhow = set(judged.values_list("track_id", flat=True))
    today = set(
        judged.filter(answer__annotation__guideline=in_force).values_list("track_id", flat=True)
    )
    fresh: list[int] = []
    older: list[int] = []
    for track_id in pool.order_by("id").values_list("id", flat=True).iterator():
        if track_id in taken or track_id in today:
            continue
        (older if track_id in anyhow else fresh).append(track_id)
    return np.array(fresh, dtype=np.int64), np.array(older, dtype=np.int64)


def _known(
    snapshot: Snapshot, persons: set[int], seed: int
) -> tuple[npt.NDArray[np.int64], LabelMatrix, list[str]]:
    """Return training tracks whose labels are known, with the labels, by a snapshot.

    Tracks that only a catalogue labelled are candidates as well; while persons have judged
    few, a random half of those stands in as known, another half every round.
    """
    frozen = snapshots.load(snapshot)
    audit = snapshot.library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    now = np.fromiter(audit.iterator(), dtype=np.int64)
    is_training = ~(frozen.is_audit | np.isin(frozen.track_ids, now))  # audit wins
    is_person = np.isin(frozen.track_ids, np.array(sorted(persons), dtype=np.int64))
    use = is_person & is_training
    if use.sum() < FEW_PERSON_TRACKS:
        drawn = np.random.default_rng(seed).random(len(use)) < 0.5
        use |= drawn & is_training
    rows = np.flatnonzero(use)
    return frozen.track_ids[rows], frozen.matrix.rows(rows), snapshots.label_uids(frozen)


def _sampled(
    ids: npt.NDArray[np.int64], most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    return ids if len(ids) <= most else np.sort(rng.choice(ids, most, replace=False))


def _columns(uids: Sequence[str], wanted: Sequence[str]) -> npt.NDArray[np.intp]:
    place = {uid: number for number, uid in enumerate(uids)}
    return np.array([place.get(uid, -1) for uid in wanted], dtype=np.intp)


def _recast(matrix: LabelMatrix, columns: npt.NDArray[np.intp]) -> LabelMatrix:
    """Bring the labels of a snapshot into the columns of the model; absent: not judged."""
    there = columns >= 0
    labels = np.where(there, matrix.labels[:, columns], False)
    return LabelMatrix(labels, np.where(there, matrix.label_mask[:, columns], False))


@dataclass(frozen=True)
class Warm:
    """What a model-based strategy reads, of candidates and known tracks together."""

    track_ids: npt.NDArray[np.int64]
    pool: Pool
    predictions: Predictions


def warm_pool(library: Library, fresh: npt.NDArray[np.int64], seed: int) -> Warm | None:
    """Return the pool with probabilities and features, or None while there is no model."""
    predictions = loop_predictions.current(library)
    if predictions is None:
        return None
    rng = np.random.default_rng(seed)
    persons = set(
        CurrentAnswer.objects.filter(
            track__library=library, answer__isnull=False, annotator__kind=Annotator.Kind.PERSON
        ).values_list("track_id", flat=True)
    )
    # Its own one: a snapshot that somebody took by hand may hold another facet or period.
    known, labels, uids = _known(predictions.version.run.snapshot, persons, seed)
    if not len(known):
        return None
    fresh = _sampled(np.setdiff1d(fresh, known), strategies.MAX_CANDIDATES, rng)
    some = _sampled(known, strategies.MAX_LABELLED, rng)
    labels, known = labels.rows(np.searchsorted(known, some)), some
    wanted = np.concatenate([fresh, known])
    feature_set = predictions.version.run.feature_set
    found = features.located(library, feature_set, np.unique(wanted))
    scored = found.track_ids[predictions.rows(found.track_ids) >= 0]
    if not np.isin(known, scored).any() or not np.isin(fresh, scored).any():
        return None
    return _assembled(found, scored, known, labels, uids, predictions)


def _assembled(
    found: features.Located,
    scored: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    labels: LabelMatrix,
    uids: Sequence[str],
    predictions: Predictions,
) -> Warm:
    place = np.searchsorted(found.track_ids, scored)
    summaries = features.summaries_of(
        predictions.version.run.feature_set, [found.rows[n] for n in place.tolist()]
    )
    is_known = np.isin(scored, known)
    shape = (len(scored), len(predictions.label_uids))
    full = LabelMatrix(np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool))
    recast = _recast(labels, _columns(uids, predictions.label_uids))
    rows = recast.rows(np.searchsorted(known, scored[is_known]))
    full.labels[is_known], full.label_mask[is_known] = rows.labels, rows.label_mask
    titled = predictions.version.library.tracks.exclude(album="")
    albums = dict(titled.values_list("pk", "album"))
    pool = Pool(
        labelled_mask=is_known,
        probabilities=predictions.array.tracks(predictions.rows(scored)),
        features=summaries,
        labels=full,
        thresholds=np.array(predictions.version.thresholds, dtype=float),
        albums=np.array([albums.get(pk, "") for pk in scored.tolist()]),
    )
    return Warm(scored, pool, predictions)
