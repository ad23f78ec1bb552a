"""A small library with fixed ids, uids and dates, written through Django's registry.

Twenty-four short sounds in three genres that can be heard apart; a catalogue without dates and
two people who judged, some of it twice. Nothing here depends on the day or on a random number.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import soundfile
from django.apps import apps
from django.contrib.auth import get_user_model

N_TRACKS, N_AUDIT = 24, 8
RATE_HZ = 44_100
GENRES = ("Ambient", "Drone", "Rock", "Jazz")
MOODS = ("Calm", "Dark")
START = datetime(2025, 1, 6, 9, tzinfo=UTC)


def model(name: str) -> Any:
    """Return a model of the app by name."""
    return apps.get_model("labeling", name)


def uid(kind: int, number: int) -> UUID:
    """Return the fixed uid of a row."""
    return UUID(int=(kind << 64) + number)


def genres_of(number: int) -> list[int]:
    """Return which genres a track has: one in turn, every fifth two; three are rare Jazz."""
    one = number % 3
    two = {(one + 1) % 3} if number % 5 == 0 else set()
    return sorted({one} | two | ({3} if number in (3, 12, 18) else set()))


def write_sounds(folder: Path, n: int = N_TRACKS) -> None:
    """Write a sound a genre, 1.2 s long, with a hum where the mood is dark."""
    folder.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(1.2 * RATE_HZ)) / RATE_HZ
    for number in range(n):
        rng = np.random.default_rng(number)
        parts = (
            0.2 * np.sin(2 * np.pi * rng.uniform(200, 260) * t),
            0.1 * rng.standard_normal(len(t)),
            0.3 * np.sin(2 * np.pi * 3_000 * t) * (t % 0.2 < 0.05),
            0.2 * np.sin(2 * np.pi * (900 + 300 * t) * t),
        )
        hum = 0.3 * np.sin(2 * np.pi * 120 * t) * (number % 2)
        sound = 0.5 * (hum + sum(parts[genre] for genre in genres_of(number)))
        soundfile.write(folder / f"{number:02d}.wav", sound, RATE_HZ, subtype="PCM_16")


def write_catalogue(path: Path) -> None:
    """Write a catalogue with everything that a catalogue may have, and a row in error."""
    rows = [
        ["filename", "title", "album", "artist", "composer", "isrc", "Family", "genre",
         "genre2", "feel", "annotator", "annotated_at", "tempo"],
        ["a.wav", "A", "One", "Ann", "Bo", "GB1", "f1", "Rock", "Drone", "calm", "", "", "90"],
        ["b.wav", "B", "One", "Ann", "Bo", "GB2", "f1", "Rock", "", "dark; calm", "Kim",
         "2024-03-01T10:00:00+00:00", "91"],
        ["a.wav", "A", "One", "Ann", "Bo", "GB1", "f1", "Drone", "", "", "Kim",
         "2024-03-02T10:00:00+00:00", "90"],
        ["c.wav", "C", "Two", "Ann", "Bo", "GB3", "", "=Jazz", "", "", "Kim", "no date", "92"],
        ["d.wav", "D", "Two", "Ann", "Bo", "GB4", "", "", "", "", "", "", ""],
    ]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


class Fixed:
    """The library `fixed`; annotations get ids and uids in the order in which they are made."""

    def __init__(self, sounds: Path) -> None:
        self.n_annotations = 0
        self.library = model("Library").objects.create(
            id=101, uid=uid(1, 1), slug="fixed", name="Fixed", network="pooled-numpy",
            retrain_after=0,
        )  # fmt: skip
        self.facets = [
            model("Facet").objects.create(
                id=101 + place, uid=uid(2, place), library=self.library, name=name,
                name_key=name, position=place,
            )
            for place, name in enumerate(("genre", "mood", "instrumentation", "category"))
        ]  # fmt: skip
        self.genres = self._labels(0, 201, GENRES)
        self.moods = self._labels(1, 211, MOODS)
        self.offers = [self._offer(0, self.genres), self._offer(1, self.moods)]
        self.guidelines = [
            model("GuidelineVersion").objects.create(
                id=101 + number, library=self.library, number=number, text=f"Version {number}",
                published_at=START + timedelta(days=200 * number - 400),
            )
            for number in range(3)
        ]  # fmt: skip
        self.tracks = self._tracks(sounds)
        self.annotators = self._annotators()
        self._judge()

    def _labels(self, facet: int, first: int, names: tuple[str, ...]) -> list[Any]:
        return [
            model("Label").objects.create(
                id=first + place, uid=uid(3, first + place), facet=self.facets[facet],
                name=name, name_key=name.casefold(), position=place,
                definition=f"What {name} is", hotkey=name[0].lower() if facet == 0 else "",
            )
            for place, name in enumerate(names)
        ]  # fmt: skip

    def _offer(self, facet: int, labels: list[Any]) -> Any:
        offer = model("LabelSet").objects.create(
            id=101 + facet, facet=self.facets[facet], number=1, hash="planted"
        )
        for label in labels:
            model("LabelSetMember").objects.create(label_set=offer, label=label)
        return offer

    def _tracks(self, sounds: Path) -> list[Any]:
        root = model("AudioRoot").objects.create(id=101, name="sounds", path=str(sounds))
        return [
            model("Track").objects.create(
                id=1_001 + number, uid=uid(4, number), library=self.library,
                key=f"{number:02d}.wav", title=f"Title {number}", album=f"Album {number // 2}",
                artist="Artist", state="pending", is_audit=number < N_AUDIT,
                split_group=f"group {number if number < N_AUDIT else number // 2}",
                random_key=(number * 7_919 + 11) % 10_007,
                audio=model("AudioFile").objects.create(
                    id=1_001 + number, root=root, relative_path=f"{number:02d}.wav"
                ),
            )
            for number in range(N_TRACKS)
        ]  # fmt: skip

    def _annotators(self) -> dict[str, Any]:
        found = {}
        for place, (name, kind) in enumerate(
            (("catalogue", "legacy"), ("ann", "person"), ("ben", "person"))
        ):
            user = None
            if kind == "person":
                user = get_user_model().objects.create_user(name, id=101 + place)
                model("Membership").objects.create(
                    user=user, library=self.library, role="annotator"
                )
            found[name] = model("Annotator").objects.create(
                id=101 + place, uid=uid(5, place), library=self.library, name=name,
                name_key=name, kind=kind, user=user,
            )  # fmt: skip
        return found

    def _judge(self) -> None:
        """The catalogue says all; ann and ben judge most of it, ann some of it again."""
        for number in range(N_TRACKS):
            moods = {number % 2: 1}
            self.annotate("catalogue", number, {0: _yes(genres_of(number)), 1: moods})
        for day, number in enumerate(range(0, 20)):
            moods = {number % 2: 1, (number + 1) % 2: 0 if number % 4 == 0 else -1}
            said = {0: _yes(genres_of(number)), 1: moods}
            self.annotate("ann", number, said, day=day, stratum=_stratum(number))
        for day, number in enumerate(range(0, 20, 2)):
            shifted = [(genre + (number % 4 == 0)) % 3 for genre in genres_of(number)]
            at = {"day": 30 + day, "stratum": "overlap", "guideline": 2}
            self.annotate("ben", number, {0: _yes(sorted(set(shifted)))}, **at)
        for day, number in enumerate(range(0, 12)):
            shifted = [(genre + number % 2) % 3 for genre in genres_of(number)]
            at = {"day": 90 + day, "stratum": "repeat", "guideline": 2}
            self.annotate("ann", number, {0: _yes(sorted(set(shifted)))}, **at)
        last = self.annotate("ann", 20, {0: _yes([0])}, day=110, stratum="explore")
        more = {"kind": "revision", "revises": last}
        last = self.annotate("ann", 20, {0: _yes([2])}, day=111, note="a slip", **more)
        self.annotate("ann", 20, {}, day=112, kind="retraction", revises=last)

    def annotate(
        self,
        who: str,
        number: int,
        said: dict[int, dict[int, int]],
        *,
        day: int | None = None,
        kind: str = "",
        guideline: int = 1,
        **more: Any,
    ) -> Any:
        """Write one annotation: facet place -> label place -> value."""
        self.n_annotations += 1
        made = self.n_annotations
        annotator, track = self.annotators[who], self.tracks[number]
        at = None if day is None else START + timedelta(days=day)
        annotation = model("Annotation").objects.create(
            id=10_000 + made, uid=uid(6, made), library=self.library, track=track,
            annotator=annotator, kind=kind or ("imported" if at is None else "judgement"),
            guideline=self.guidelines[0 if at is None else guideline], answered_at=at,
            idempotency_key=f"planted {made}", request_hash="", **more,
        )  # fmt: skip
        for facet, values in said.items():
            answer = model("Answer").objects.create(
                annotation=annotation, facet=self.facets[facet], label_set=self.offers[facet]
            )
            for place, value in values.items():
                label = (self.genres, self.moods)[facet][place]
                model("Judgement").objects.create(answer=answer, label=label, value=value)
        model("DirtyKey").objects.create(
            library=self.library, annotator=annotator, track=track,
            day=(at or datetime(1, 1, 1, tzinfo=UTC)).date(),
        )  # fmt: skip
        return annotation


def _yes(places: list[int]) -> dict[int, int]:
    return dict.fromkeys(places, 1)


def _stratum(number: int) -> str:
    return "audit" if number < N_AUDIT else ("acquire", "explore", "overlap")[number % 3]
