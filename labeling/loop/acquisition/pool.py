"""Pool of a round: the candidates, and the labelled tracks that they are compared with.

Stage: acquisition. The pool never contains audit tracks.
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

#: With fewer tracks judged by persons, half of the imported labels count as known labels.
FEW_PERSON_TRACKS = 50


def candidates(library: Library) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the tracks no person has judged, and those judged under older guidelines only.

    Both are of the training side, without the tracks that are served to somebody now.
    """
    pool = random_order.servable_tracks(library).filter(is_audit=False)
    busy = Presentation.objects.filter(library=library, outcome=Presentation.Outcome.OPEN)
    taken = set(busy.values_list("track_id", flat=True))
    judged = CurrentAnswer.objects.filter(
        track__library=library, answer__isnull=False, annotator__kind=Annotator.Kind.PERSON
    )
    in_force = libraries.guideline_in_force(library)
    under_any = set(judged.values_list("track_id", flat=True))
    under_current = set(
        judged.filter(answer__annotation__guideline=in_force).values_list("track_id", flat=True)
    )
    fresh: list[int] = []
    older: list[int] = []
    for track_id in pool.order_by("id").values_list("id", flat=True).iterator():
        if track_id in taken or track_id in under_current:
            continue
        (older if track_id in under_any else fresh).append(track_id)
    return np.array(fresh, dtype=np.int64), np.array(older, dtype=np.int64)


def _known(
    snapshot: Snapshot, persons: set[int], seed: int
) -> tuple[npt.NDArray[np.int64], LabelMatrix, list[str]]:
    """Return the labelled training tracks of a snapshot, their labels and the label uids.

    Tracks with imported labels only are candidates too. While persons have judged few tracks,
    a random half of them counts as labelled, another half in every round.
    """
    arrays = snapshots.load(snapshot)
    audit = snapshot.library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    audit_now = np.fromiter(audit.iterator(), dtype=np.int64)
    # A track that is on the audit side then or now is never known.
    is_training = ~(arrays.is_audit | np.isin(arrays.track_ids, audit_now))
    is_person = np.isin(arrays.track_ids, np.array(sorted(persons), dtype=np.int64))
    is_known = is_person & is_training
    if is_known.sum() < FEW_PERSON_TRACKS:
        drawn = np.random.default_rng(seed).random(len(is_known)) < 0.5
        is_known |= drawn & is_training
    rows = np.flatnonzero(is_known)
    return arrays.track_ids[rows], arrays.matrix.rows(rows), snapshots.label_uids(arrays)


def _sampled(
    ids: npt.NDArray[np.int64], most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    return ids if len(ids) <= most else np.sort(rng.choice(ids, most, replace=False))


def _columns(uids: Sequence[str], wanted: Sequence[str]) -> npt.NDArray[np.intp]:
    place = {uid: number for number, uid in enumerate(uids)}
    return np.array([place.get(uid, -1) for uid in wanted], dtype=np.intp)


def _recast(matrix: LabelMatrix, columns: npt.NDArray[np.intp]) -> LabelMatrix:
    """Arrange the labels of a snapshot in the model's columns; a missing one is not judged."""
    exists = columns >= 0
    labels = np.where(exists, matrix.labels[:, columns], False)
    return LabelMatrix(labels, np.where(exists, matrix.label_mask[:, columns], False))


@dataclass(frozen=True)
class Warm:
    """Input of a model-based strategy: candidates and labelled tracks in one pool."""

    track_ids: npt.NDArray[np.int64]
    pool: Pool
    predictions: Predictions


def warm_pool(library: Library, fresh: npt.NDArray[np.int64], seed: int) -> Warm | None:
    """Return the pool with probabilities and features.

    Returns None if there is no champion, no labelled track, or nothing that it has scored.
    """
    predictions = loop_predictions.current(library)
    if predictions is None:
        return None
    rng = np.random.default_rng(seed)
    persons = set(
        CurrentAnswer.objects.filter(
            track__library=library, answer__isnull=False, annotator__kind=Annotator.Kind.PERSON
        ).values_list("track_id", flat=True)
    )
    # The champion's own snapshot: one taken by hand may have other facets or another period.
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
