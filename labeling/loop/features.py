"""Facts and features of audio files: what the probe measured, and where features are stored.

The probe (length, loudness, waveform) and the features are separate passes; features never
wait for the probe. Both work on files: tracks that share a file share its results.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from labeling.batching import batches
from labeling.errors import BadInput
from labeling.models import AudioFile, FeatureRow, FeatureSet, Library, Track
from ml.audio.types import DECODING, Probe
from ml.features.store import FeatureStore, ShardRow
from ml.files import atomic_write
from ml.types import FEATURE_CONFIGS, FeatureConfig

State = Track.State
#: Files in one chunk of work: about two seconds of decoding, and what a kill costs.
CHUNK = 64
_ROWS = 400
_LONGEST_REASON = 300
_LONGEST_UNPLAYABLE = 100
#: Lengths that differ by less are the same: encoders count one frame more or less.
_SAME_LENGTH_S = 0.1


@dataclass(frozen=True)
class Failure:
    """A file that cannot be used, and why, in words for a curator."""

    audio_id: int
    reason: str
    is_missing: bool = False


@dataclass(frozen=True)
class Probed:
    """A probed file, with the name of its waveform's file."""

    audio_id: int
    probe: Probe
    peaks_file: str


# --- the probe ------------------------------------------------------------------------------


def pending_probe(library: Library) -> list[int]:
    """Return the files that have not been probed yet, by id."""
    tracks = library.tracks.filter(state=State.PENDING, audio__isnull=False)
    return sorted(set(tracks.values_list("audio_id", flat=True)))


def has_pending_probe(library: Library) -> bool:
    """Say whether there is a file that has not been probed yet."""
    return library.tracks.filter(state=State.PENDING, audio__isnull=False).exists()


def still_pending(audio_ids: Sequence[int]) -> list[int]:
    """Return those of the files that no other worker has probed in the meantime."""
    tracks = Track.objects.filter(audio_id__in=audio_ids, state=State.PENDING)
    return sorted(set(tracks.values_list("audio_id", flat=True)))


def paths_of(audio_ids: Sequence[int]) -> dict[int, Path | None]:
    """Return the path of each file; None if it is outside its root, or missing."""
    files = AudioFile.objects.filter(pk__in=audio_ids).select_related("root")
    return {file.pk: _inside(Path(file.root.path), file.relative_path) for file in files}


def _inside(root: Path, relative: str) -> Path | None:
    try:
        base = root.resolve(strict=True)
        found = (base / relative).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if found.is_relative_to(base) else None


def write_peaks(audio_id: int, probe: Probe) -> str:
    """Write a waveform to its file and return the name below the folder of waveforms."""
    name = f"{audio_id % 256:02x}/{audio_id}-{probe.sha256[:12]}.npy"
    buffer = io.BytesIO()
    np.save(buffer, probe.peaks, allow_pickle=False)
    atomic_write(Path(settings.PEAKS_ROOT) / name, buffer.getvalue())
    return name


def record_probes(probed: Iterable[Probed], failures: Iterable[Failure]) -> set[int]:
    """Write what the probe found, in the caller's transaction.

    1. The facts of each file. A changed file loses its old features, and so does one of which
       the rules of decoding now take something else; failed features are tried again, because
       the file can be read now.
    2. Its tracks become ready.
    3. The tracks of an unreadable file get the reason.

    Returns
    -------
    The ids of the libraries that have newly ready tracks: their random order starts again,
    because such a track may be behind the cursor.
    """
    now, ready, changed = timezone.now(), [], []
    for one in probed:
        file = AudioFile.objects.get(pk=one.audio_id)
        if file.sha256 and _is_other_sound(file, one.probe):
            changed.append(file.pk)
        _set_facts(file, one.probe)
        file.peaks_file, file.probed_at = one.peaks_file, now
        file.save()
        _tracks(one.audio_id).update(state=State.READY, state_reason="")
        ready.append(file.pk)
    rows = FeatureRow.objects.filter(audio_id__in=ready)
    rows.filter(Q(audio_id__in=changed) | Q(state=FeatureRow.State.FAILED)).delete()
    for failure in failures:
        record_unreadable(failure)
    return set(Track.objects.filter(audio_id__in=ready).values_list("library_id", flat=True))


def _is_other_sound(file: AudioFile, probe: Probe) -> bool:
    """Say whether features of the file that was probed before are stale.

    The content changed, or a later version of the rules finds another length or takes another
    excerpt, which the warning tells. Features of all other files stay as they are.
    """
    if file.sha256 != probe.sha256:
        return True
    if file.decoding == DECODING:
        return False
    is_longer = abs((file.length_s or 0.0) - probe.length_s) > _SAME_LENGTH_S
    return is_longer or file.warning != (probe.warning or "")[:_LONGEST_REASON]


def _set_facts(file: AudioFile, probe: Probe) -> None:
    file.size_bytes, file.modified_at, file.sha256 = probe.size_bytes, probe.mtime, probe.sha256
    file.container, file.subtype = probe.container[:20], probe.subtype[:40]
    file.sample_rate_hz, file.channels = probe.sample_rate_hz, probe.channels
    file.bit_rate, file.length_s = probe.bit_rate, probe.length_s
    file.loudness_db = probe.loudness_db
    file.warning = (probe.warning or "")[:_LONGEST_REASON]
    file.unplayable, file.decoding = (probe.unplayable or "")[:_LONGEST_UNPLAYABLE], DECODING


def _tracks(audio_id: int) -> QuerySet[Track]:
    return Track.objects.in_use().filter(audio_id=audio_id)


def record_unreadable(failure: Failure) -> None:
    """Mark the tracks of a file as unreadable, with the reason.

    Existing features are removed, because they belong to other content; those of a missing file
    stay, because it may come back unchanged.
    """
    state = State.MISSING if failure.is_missing else State.UNREADABLE
    if not failure.is_missing:
        FeatureRow.objects.filter(
            audio_id=failure.audio_id, state=FeatureRow.State.DONE
        ).delete()
    _tracks(failure.audio_id).update(state=state, state_reason=failure.reason[:_LONGEST_REASON])
    AudioFile.objects.filter(pk=failure.audio_id).update(probed_at=timezone.now())


# --- features -------------------------------------------------------------------------------


def config_of_set(name: str) -> FeatureConfig:
    """Return the feature configuration of this name."""
    if name not in FEATURE_CONFIGS:
        raise BadInput(f"there are no features {name!r}; known: {', '.join(FEATURE_CONFIGS)}")
    return FEATURE_CONFIGS[name]


def feature_set_of(name: str) -> FeatureSet:
    """Return the row of a configuration; different arithmetic gives a different row."""
    config = config_of_set(name)
    row, _ = FeatureSet.objects.get_or_create(
        digest=config.digest(), defaults={"name": name, "parameters": config.canonical()}
    )
    return row


def _with_file(library: Library) -> QuerySet[Track]:
    return library.tracks.filter(audio__isnull=False).exclude(
        state__in=[State.NO_AUDIO, State.MISSING, State.WITHDRAWN]
    )


def has_audio(library: Library) -> bool:
    """Say whether any track of the library has a file."""
    return _with_file(library).exists()


def missing_features(library: Library, feature_set: FeatureSet) -> list[int]:
    """Return the files of the library that have no row of these features yet, by id."""
    missing = _without_features(library, feature_set)
    return sorted(set(missing.values_list("audio_id", flat=True)))


def has_missing_features(library: Library, feature_set: FeatureSet) -> bool:
    """Say whether a file of the library has no row of these features yet."""
    return _without_features(library, feature_set).exists()


def _without_features(library: Library, feature_set: FeatureSet) -> QuerySet[Track]:
    done = FeatureRow.objects.filter(feature_set=feature_set, audio=OuterRef("audio"))
    return _with_file(library).filter(~Exists(done))


def still_missing(feature_set: FeatureSet, audio_ids: Sequence[int]) -> list[int]:
    """Return those of the files whose features no other worker has computed since."""
    rows = FeatureRow.objects.filter(feature_set=feature_set, audio_id__in=audio_ids)
    return sorted(set(audio_ids) - set(rows.values_list("audio_id", flat=True)))


def known_failures(audio_ids: Sequence[int]) -> list[Failure]:
    """Return those of the files that the probe could not read: decoding them would fail."""
    tracks = Track.objects.filter(audio_id__in=audio_ids, state=State.UNREADABLE)
    reasons = dict(tracks.values_list("audio_id", "state_reason"))
    return [Failure(audio_id, reason) for audio_id, reason in sorted(reasons.items())]


def record_features(
    feature_set: FeatureSet, rows: Sequence[ShardRow], failures: Sequence[Failure]
) -> None:
    """Record where features are and which failed, in the caller's transaction.

    Earlier rows of these files are replaced, because a chunk may run twice.
    """
    audio_ids = [row.row_key for row in rows] + [failure.audio_id for failure in failures]
    FeatureRow.objects.filter(feature_set=feature_set, audio_id__in=audio_ids).delete()
    done = [
        FeatureRow(
            feature_set=feature_set,
            audio_id=row.row_key,
            shard=row.shard,
            offset=row.offset,
            windows=row.windows,
            position=position,
            state=FeatureRow.State.DONE,
        )
        for position, row in enumerate(rows)
    ]
    failed = [
        FeatureRow(
            feature_set=feature_set,
            audio_id=failure.audio_id,
            state=FeatureRow.State.FAILED,
            reason=failure.reason[:_LONGEST_REASON],
        )
        for failure in failures
    ]
    FeatureRow.objects.bulk_create(done + failed, batch_size=_ROWS)
    for failure in failures:
        state = State.MISSING if failure.is_missing else State.UNREADABLE
        _tracks(failure.audio_id).exclude(state=State.UNREADABLE).update(
            state=state, state_reason=failure.reason[:_LONGEST_REASON]
        )


def count(library: Library, feature_set: FeatureSet, done_now: int) -> dict[str, int]:
    """Count the tracks with a file: `done_now` of them just now, failed ones, the rest."""
    rows = FeatureRow.objects.filter(feature_set=feature_set, audio__tracks__library=library)
    failed = rows.filter(state=FeatureRow.State.FAILED).count()
    skipped = max(0, tracks_done(library, feature_set) - done_now)
    return {"tracks_done": done_now, "tracks_failed": failed, "tracks_skipped": skipped}


def count_tracks(library_id: int | None, audio_ids: Sequence[int]) -> int:
    """Count the tracks of the library behind these files."""
    if library_id is None:
        return 0
    return Track.objects.filter(library_id=library_id, audio_id__in=audio_ids).count()


def tracks_done(library: Library, feature_set: FeatureSet) -> int:
    """Count the tracks of the library that have these features."""
    in_use = library.tracks.in_use()
    return in_use.filter(
        audio__features__feature_set=feature_set,
        audio__features__state=FeatureRow.State.DONE,
    ).count()


def sweep_features(feature_set: FeatureSet, older_than_s: float = 3_600.0) -> list[str]:
    """Remove the files of features that no row names; return their names."""
    known = FeatureRow.objects.filter(feature_set=feature_set).exclude(shard="")
    shards = known.values_list("shard", flat=True).distinct()
    return store_of(feature_set).sweep(set(shards), older_than_s)


# --- reading --------------------------------------------------------------------------------


def store_of(feature_set: FeatureSet) -> FeatureStore:
    """Return the reader of the features of a set."""
    config = FeatureConfig.from_dict(feature_set.parameters)
    return FeatureStore(settings.FEATURE_ROOT, config)


@dataclass(frozen=True)
class Located:
    """Tracks with features, in the order of their ids, and where their features are."""

    track_ids: npt.NDArray[np.int64]
    rows: list[ShardRow]

    def digest(self) -> str:
        """Return a hash of the tracks and of the features computed for each.

        Each computation has its own place in its own shard, so features computed again change
        the hash although their number is the same.
        """
        pairs = zip(self.track_ids.tolist(), self.rows, strict=True)
        lines = (f"{track_id} {row.shard} {row.offset}" for track_id, row in pairs)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def located(
    library: Library, feature_set: FeatureSet, track_ids: npt.NDArray[np.int64] | None = None
) -> Located:
    """Return the places of the features of these tracks (None: of all); some have none."""
    wanted = None if track_ids is None else set(track_ids.tolist())
    rows = (
        library.tracks.in_use()
        .filter(
            Q(audio__features__feature_set=feature_set)
            & Q(audio__features__state=FeatureRow.State.DONE)
        )
        .annotate(
            shard=F("audio__features__shard"),
            offset=F("audio__features__offset"),
            windows=F("audio__features__windows"),
        )
        .order_by("id")
    )
    found = [
        (track_id, ShardRow(audio_id, shard, offset, windows))
        for track_id, audio_id, shard, offset, windows in rows.values_list(
            "id", "audio_id", "shard", "offset", "windows"
        ).iterator(chunk_size=5_000)
        if wanted is None or track_id in wanted
    ]
    ids = np.array([track_id for track_id, _ in found], dtype=np.int64)
    return Located(ids, [row for _, row in found])


def summaries_of(feature_set: FeatureSet, rows: Sequence[ShardRow]) -> npt.NDArray[np.float32]:
    """Return the summary vectors in the order of `rows`."""
    return store_of(feature_set).summaries(rows)


def chunks(audio_ids: Sequence[int], **more: int) -> list[dict[str, Any]]:
    """Cut files into the arguments of chunks."""
    return [{"ids": list(part), **more} for part in batches(audio_ids, CHUNK)]
