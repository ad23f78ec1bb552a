"""Predictions of the champion for all tracks, and the suggestions made from them.

Stage: prediction. The array is on disk and mapped once per process. A suggestion costs a few
reads of memory and three small queries, so it can be made while a page is served.
"""

from __future__ import annotations

import io
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from django.conf import settings

from labeling.loop import features
from labeling.loop.features import Located
from labeling.loop.library.taxonomy import resolutions
from labeling.loop.registry import models
from labeling.loop.registry.trust import trust_in, why_few_suggestions
from labeling.loop.serving.strata import UNASSISTED
from labeling.models import Label, Library, ModelVersion, PredictionSet, Presentation
from ml.errors import MlError
from ml.files import atomic_write
from ml.training.prediction_store import PredictionArray, StoredPredictions, write_predictions

logger = logging.getLogger(__name__)

#: Per facet, this many of the likeliest labels are suggested even below their threshold,
NEAREST_A_FACET = 3
#: if their probability is at least this.
LEAST_PROBABILITY = 0.10
#: No label below this is suggested, whatever its threshold: a hint of 2 % helps nobody.
LEAST_SHOWN = 0.05
_OPEN_AT_ONCE = 4
_FORGOTTEN_AFTER_S = 3_600.0


@dataclass(frozen=True)
class Predictions:
    """An open prediction set: probabilities by label and track, `track_ids` sorted."""

    version: ModelVersion
    label_uids: list[str]
    track_ids: npt.NDArray[np.int64]
    array: PredictionArray

    def rows(self, track_ids: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Return the column of each track, or -1 if it has no prediction."""
        wanted = np.asarray(track_ids, dtype=np.int64)
        if not len(self.track_ids):
            return np.full(len(wanted), -1, dtype=np.intp)
        place = np.minimum(np.searchsorted(self.track_ids, wanted), len(self.track_ids) - 1)
        return np.where(self.track_ids[place] == wanted, place, -1)


class SuggestedLabel(TypedDict):
    """A suggestion, as stored with a presentation and returned by the API."""

    facet: str
    label: str
    label_uid: str
    probability: float
    above_threshold: bool


# --- writing --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """The files of a prediction set, on disk but not registered yet."""

    file: str
    index_file: str
    stored: StoredPredictions
    features_hash: str


def write(version: ModelVersion, found: Located, probabilities: npt.NDArray[Any]) -> Written:
    """Write the probabilities (n_tracks, n_labels) to files with new names.

    `found` names their tracks and the features that they were computed from.
    """
    name = f"{version.library.slug}/{version.number}-{uuid.uuid4().hex[:12]}"
    root = Path(settings.PREDICTION_ROOT)
    buffer = io.BytesIO()
    np.save(buffer, found.track_ids.astype(np.int64), allow_pickle=False)
    atomic_write(root / f"{name}.tracks.npy", buffer.getvalue())
    stored = write_predictions(root / f"{name}.npy", probabilities)
    return Written(f"{name}.npy", f"{name}.tracks.npy", stored, found.digest())


def record(version: ModelVersion, written: Written) -> PredictionSet:
    """Register the files as the predictions of this model, in the caller's transaction."""
    row, _ = PredictionSet.objects.update_or_create(
        model_version=version,
        defaults={
            "file": written.file,
            "index_file": written.index_file,
            "sha256": written.stored.sha256,
            "label_uids": version.label_uids,
            "tracks": written.stored.n_tracks,
            "features_hash": written.features_hash,
        },
    )
    return row


def sweep_predictions(library: Library) -> None:
    """Remove prediction files without a row; recent ones may still get theirs."""
    sets = PredictionSet.objects.filter(model_version__library=library)
    known = {name for pair in sets.values_list("file", "index_file") for name in pair}
    home = Path(settings.PREDICTION_ROOT) / library.slug
    for path in sorted(home.glob("*")) if home.is_dir() else []:
        is_old = time.time() - path.stat().st_mtime > _FORGOTTEN_AFTER_S
        if is_old and f"{library.slug}/{path.name}" not in known:
            path.unlink(missing_ok=True)


def is_stale(library: Library) -> bool:
    """Return whether the champion has not scored all tracks with their current features.

    The number of tracks is compared first. If it is the same, the hash of the features is
    compared, because an audio file may have been replaced. A prediction set that has lost its
    files is stale as well.
    """
    champion = models.champion_of(library)
    if champion is None:
        return False
    row = PredictionSet.objects.filter(model_version=champion).first()
    feature_set = champion.run.feature_set
    if row is None or row.tracks != features.tracks_done(library, feature_set):
        return True
    root = Path(settings.PREDICTION_ROOT)
    if not all((root / name).is_file() for name in (row.file, row.index_file)):
        return True
    return row.features_hash != features.located(library, feature_set).digest()


# --- reading --------------------------------------------------------------------------------

_open: OrderedDict[str, tuple[PredictionArray, npt.NDArray[np.int64]]] = OrderedDict()
_lock = threading.Lock()


def current(library: Library) -> Predictions | None:
    """Return the predictions of the champion, or None if there are none to read."""
    row = (
        PredictionSet.objects.filter(
            model_version__library=library, model_version__state=ModelVersion.State.CHAMPION
        )
        .select_related("model_version")
        .first()
    )
    if row is None:
        return None
    try:
        array, track_ids = _mapped(row)
    except (MlError, OSError, ValueError) as error:
        logger.error("predictions of %s cannot be read: %s", row.model_version, error)
        return None
    return Predictions(row.model_version, row.label_uids, track_ids, array)


def _mapped(row: PredictionSet) -> tuple[PredictionArray, npt.NDArray[np.int64]]:
    """Return the open files; the checksum of each is verified once per process."""
    key = f"{row.file} {row.sha256}"
    with _lock:
        if key in _open:
            _open.move_to_end(key)
            return _open[key]
        root = Path(settings.PREDICTION_ROOT)
        array = PredictionArray.open(root / row.file, row.sha256)
        track_ids = np.load(root / row.index_file, allow_pickle=False)
        if len(track_ids) != array.n_tracks or array.n_labels != len(row.label_uids):
            raise ValueError(f"{row.file} and its index do not fit together")
        _open[key] = (array, track_ids)
        while len(_open) > _OPEN_AT_ONCE:
            _open.popitem(last=False)
        return _open[key]


def suggestions_for(
    library: Library, track_ids: Iterable[int]
) -> dict[int, list[SuggestedLabel]]:
    """Return the suggestions for each track, the likeliest label first.

    These are the labels above their threshold and a few of the likeliest of each facet, if
    audit tracks show the model to be better than the baseline on them (`registry.trust`). A
    merged label is suggested as the label it was merged into, an inactive one not at all.
    """
    ids = list(track_ids)
    predictions = current(library)
    if predictions is None or not ids:
        return {}
    names = suggestible(library, predictions.version)
    if not names:
        return {}
    rows = predictions.rows(ids)
    found: dict[int, list[SuggestedLabel]] = {}
    known = [(pk, row) for pk, row in zip(ids, rows.tolist(), strict=True) if row >= 0]
    values = predictions.array.tracks(np.array([row for _, row in known], dtype=np.intp))
    for (track_id, _), probabilities in zip(known, values, strict=True):
        found[track_id] = _suggested(predictions, probabilities, names)
    return found


def store_suggestions(presentation: Presentation, library: Library) -> None:
    """Store the suggestions with a presentation before it is shown.

    The API returns stored suggestions only, so exactly what was stored was shown.
    """
    if presentation.stratum in UNASSISTED or not library.shows_suggestions:
        return
    suggestions = suggestions_for(library, [presentation.track_id])
    presentation.suggestions = suggestions.get(presentation.track_id, [])
    if presentation.suggestions:
        presentation.save(update_fields=["suggestions"])


def suggestible(library: Library, version: ModelVersion) -> dict[str, tuple[str, str, str]]:
    """Return the labels that a model may suggest: uid -> (facet, label, uid), as shown now."""
    trusted = trust_in(version).labels
    if not trusted:
        return {}
    return {uid: shown for uid, shown in _names(library).items() if uid in trusted}


def why_few(library: Library) -> str:
    """Say why the annotation page shows no suggestions or few; empty if it shows all."""
    champion = models.champion_of(library)
    if champion is None:
        return "There is no champion yet, so nothing is suggested."
    names = {uid: label for uid, (_, label, _) in _names(library).items()}
    return why_few_suggestions(champion, names)


def _names(library: Library) -> dict[str, tuple[str, str, str]]:
    """Return uid of a label -> (facet, label, uid) under which it is suggested now."""
    merged = resolutions(library)
    rows = {
        row.pk: row
        for row in Label.objects.filter(facet__library=library).select_related("facet")
    }
    names = {}
    for pk, label in rows.items():
        current_label = rows[merged.get(pk, pk)]
        if current_label.is_active:
            names[label.uid.hex] = (
                current_label.facet.name,
                current_label.name,
                str(current_label.uid),
            )
    return names


def _suggested(
    predictions: Predictions,
    probabilities: npt.NDArray[np.float32],
    names: dict[str, tuple[str, str, str]],
) -> list[SuggestedLabel]:
    chosen: dict[str, SuggestedLabel] = {}
    shown: dict[str, int] = {}
    thresholds = predictions.version.thresholds
    for column in np.argsort(-probabilities, kind="stable").tolist():
        if predictions.label_uids[column] not in names:
            continue
        facet, label, uid = names[predictions.label_uids[column]]
        probability = float(probabilities[column])
        is_above = probability >= max(thresholds[column], LEAST_SHOWN)
        is_near = shown.get(facet, 0) < NEAREST_A_FACET and probability >= LEAST_PROBABILITY
        if uid in chosen or not (is_above or is_near):
            continue
        shown[facet] = shown.get(facet, 0) + 1
        chosen[uid] = {
            "facet": facet,
            "label": label,
            "label_uid": uid,
            "probability": round(probability, 4),
            "above_threshold": bool(is_above),
        }
    return list(chosen.values())
