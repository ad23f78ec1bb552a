"""A small library whose features say what its labels are, without a sound being decoded."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import numpy as np
from django.conf import settings

from labeling.loop import features
from labeling.loop.events.current_answers import project
from labeling.models import (
    Annotation,
    Answer,
    AudioFile,
    AudioRoot,
    GuidelineVersion,
    Judgement,
    Label,
    Library,
    Track,
)
from ml.features.store import write_shard
from ml.features.summaries import summarise
from ml.types import FEATURE_CONFIGS
from tests.answers import day, offer
from tests.factories import make_annotator, make_labels, make_library

NAMES = ("Ambient", "Drone", "Rock")


@dataclass
class Planted:
    library: Library
    labels: list[Label]
    tracks: list[Track]
    truth: np.ndarray
    legacy: object


def plant(n_tracks=60, n_audit=16, *, seed=0, answers=True, slug="") -> Planted:
    """Make tracks of three labels in turn, every fifth of two; all but audit ones in pairs."""
    rng = np.random.default_rng(seed)
    library = make_library(slug, network="pooled-numpy")
    labels = make_labels(library, names=NAMES)
    truth = np.zeros((n_tracks, 3), dtype=bool)
    truth[np.arange(n_tracks), np.arange(n_tracks) % 3] = True
    truth[::5, (np.arange(0, n_tracks, 5) + 1) % 3] = True
    root = AudioRoot.objects.create(name=uuid.uuid4().hex, path="/nowhere")
    files = AudioFile.objects.bulk_create(
        [AudioFile(root=root, relative_path=f"{number}.mp3") for number in range(n_tracks)]
    )
    keys = rng.integers(1, 2**62, n_tracks).tolist()
    tracks = Track.objects.bulk_create(
        [
            Track(
                library=library,
                key=f"{number:03d}.mp3",
                audio=files[number],
                state="ready",
                is_audit=number < n_audit,
                split_group=f"group {number if number < n_audit else number // 2}",
                random_key=keys[number],
            )
            for number in range(n_tracks)
        ]
    )
    add_features(tracks, truth, rng)
    legacy = make_annotator(library, "catalogue", kind="legacy")
    planted = Planted(library, labels, tracks, truth, legacy)
    if answers:
        catalogue(planted, range(n_tracks))
    return planted


def catalogue(planted, numbers, *, annotator=None, shift=0, kind="imported", at=None) -> None:
    """Let an annotator say the truth of some tracks (or `shift` labels beside it), in bulk."""
    library, who = planted.library, annotator or planted.legacy
    guideline = GuidelineVersion.objects.get(library=library, number=0)
    numbers = list(numbers)
    events = Annotation.objects.bulk_create(
        [
            Annotation(
                library=library,
                track=planted.tracks[number],
                annotator=who,
                kind=kind,
                guideline=guideline,
                answered_at=day(at) if at else None,
                idempotency_key=f"{kind} {at} {shift} {number}",
                request_hash="",
            )
            for number in numbers
        ]
    )
    facet, offered = planted.labels[0].facet, offer(planted.labels)
    rows = Answer.objects.bulk_create(
        [Answer(annotation=event, facet=facet, label_set=offered) for event in events]
    )
    Judgement.objects.bulk_create(
        [
            Judgement(answer=row, label=planted.labels[(place + shift) % 3], value=1)
            for number, row in zip(numbers, rows, strict=True)
            for place in np.flatnonzero(planted.truth[number]).tolist()
        ]
    )
    project(who.pk, [planted.tracks[number].pk for number in numbers])


def add_features(tracks, truth, rng) -> None:
    """Write features in which each label moves its own coefficients."""
    config = FEATURE_CONFIGS["audiotag"]
    feature_set = features.feature_set_of("audiotag")
    items = []
    for track, row in zip(tracks, truth, strict=True):
        windows = rng.normal(0, 1, (2, *config.frame_shape)).astype(np.float32)
        for label, there in enumerate(row):
            windows[..., 1 + label] += 1.5 * there
        items.append((track.audio_id, windows, summarise(windows)))
    rows = write_shard(settings.FEATURE_ROOT, config, uuid.uuid4().hex, items)
    features.record_features(feature_set, rows, [])
