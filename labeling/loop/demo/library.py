"""Demo library: three simulated curators and an older catalogue with its labels.

Stage: demo. Everything comes from `ml.simulation.library` with fixed seeds, so the demo is the
same on every machine. The catalogue and its labels pass through the import like any other. The
two years of answers of the curators are written as judgements.
"""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from django.contrib.auth.models import User

from labeling.errors import BadInput
from labeling.loop.demo.answers import DemoAnswerWriter
from labeling.loop.demo.words import COMPOSERS, FACETS, GENRES, GUIDELINES, HOTKEYS
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.library import libraries, taxonomy
from labeling.models import (
    Annotator,
    Facet,
    GuidelineVersion,
    Label,
    Library,
    Membership,
    Track,
)
from labeling.names import name_key
from labeling.writing import short_write
from ml.constants import GENRE_COUNTS
from ml.simulation.answers import ScriptedAnswer, scripted_answers
from ml.simulation.library import (
    Criteria,
    SimulatedCurator,
    SimulatedTracks,
    SimulationConfig,
    demo_curators,
    simulate_tracks,
)

SLUG = "demo"
N_AUDIO, N_TRACKS = 120, 1_620
LEGACY = "Catalogue 2009-2019"
#: Genres that `ml.simulation.synthesis` can synthesise.
AUDIBLE = (
    "Drone", "Techno", "Piano", "Percussion", "Ambient, Chill", "Orchestral", "Rock", "Jazz",
    "Pizzicato", "A Cappella", "Big Band",
)  # fmt: skip
#: Name and role of each user, and the annotator whose answers are theirs.
USERS: tuple[tuple[str, str, str], ...] = (
    ("ana", Membership.Role.CURATOR, "Ana"),
    ("ben", Membership.Role.ANNOTATOR, "Ben"),
    ("cora", Membership.Role.ANNOTATOR, "Cora"),
    ("mia", Membership.Role.MANAGER, ""),
)
#: Larger than in a real library, so that two years of three people show the planted change.
AUDIT_SHARE = 0.35
PERIOD = timedelta(days=730)
_SEED = 7
_ANSWERS_A_WEEK = 9.0
_LEGACY_SHARE_WITH_AUDIO = 0.6


@dataclass(frozen=True)
class Demo:
    """Plan of the demo library, before any row is written.

    Attributes
    ----------
    audible : the tracks with audio. archive : the tracks without audio.
    lengths_s : of each audible track, 20 to 60 s, most of them short.
    """

    audible: SimulatedTracks
    archive: SimulatedTracks | None
    lengths_s: tuple[float, ...]

    @property
    def n_tracks(self) -> int:
        """Number of tracks of both parts."""
        return sum(len(tracks.keys) for _, tracks in self.parts())

    def parts(self) -> Iterator[tuple[str, SimulatedTracks]]:
        """Yield the name and the tracks of each part."""
        yield "audio", self.audible
        if self.archive is not None:
            yield "archive", self.archive


def plan_demo(n_tracks: int = N_TRACKS) -> Demo:
    """Plan the tracks: up to 120 with audio, the others without."""
    n_audio = min(N_AUDIO, n_tracks)
    audible = simulate_tracks(
        SimulationConfig(
            n_tracks=n_audio,
            labels=tuple((name, 1.0) for name in AUDIBLE),
            labels_per_track=1.4,
            tracks_per_album=5.0,
            mix_share=0.08,
            seed=_SEED,
        )
    )
    archive = None
    if n_tracks > n_audio:
        counts = tuple((name, float(GENRE_COUNTS[name])) for name in GENRES)
        archive = simulate_tracks(
            SimulationConfig(n_tracks=n_tracks - n_audio, labels=counts, seed=_SEED + 1)
        )
    lengths = 20 + 40 * np.random.default_rng(_SEED).beta(1, 5, n_audio)
    return Demo(audible, archive, tuple(float(length) for length in lengths.round(1)))


def changed_at(end: datetime) -> datetime:
    """Return when Ana's criteria change: two weeks after the second guideline."""
    return end - PERIOD / 2 + timedelta(days=14)


# --- the catalogue ------------------------------------------------------------------------
def write_catalogue(demo: Demo, folder: Path) -> dict[str, Path]:
    """Write the CSV files of the catalogue and return their paths by part."""
    paths = {}
    for place, (name, tracks) in enumerate(demo.parts()):
        paths[name] = folder / f"{name}.csv"
        rows = list(_catalogue_rows(name, tracks, np.random.default_rng([_SEED, place])))
        with paths[name].open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return paths


def _catalogue_rows(
    part: str, tracks: SimulatedTracks, rng: np.random.Generator
) -> Iterator[dict[str, str]]:
    """Yield the catalogue with its old labels.

    They follow the coarse criteria of one person, and a part of the audible tracks has none.
    """
    coarse = SimulatedCurator(
        LEGACY,
        (
            Criteria(
                datetime.min.replace(tzinfo=UTC),
                sensitivity=0.8,
                specificity=0.99,
                replaced=(("Drone", "Ambient, Chill", 0.4), ("Techno", "Percussion", 0.15)),
            ),
        ),
    )
    moment = datetime(2015, 1, 1, tzinfo=UTC)
    for n, key in enumerate(tracks.keys):
        is_labelled = part == "archive" or rng.random() < _LEGACY_SHARE_WITH_AUDIO
        labels = coarse.answer(tracks, n, moment, rng)
        genres = [tracks.config.names[one] for one in np.flatnonzero(labels)][:2]
        others = others_of(tracks.genres_of(n), rng) if is_labelled else {}
        row = {
            "filename": key_of(part, key),
            "title": tracks.titles[n],
            "album": tracks.albums[n],
            "composer": COMPOSERS[int(tracks.album[n]) % len(COMPOSERS)],
            "family": f"{part} {tracks.family[n]}" if tracks.family[n] >= 0 else "",
        }
        wanted = {"genre": genres if is_labelled else [], **others}
        for facet in FACETS:
            names = wanted.get(facet, [])
            row |= {f"{facet}{i + 1}": names[i] if i < len(names) else "" for i in range(2)}
        yield row


def key_of(part: str, key: str) -> str:
    """Return the file name of a track in its part of the catalogue."""
    return key if part == "audio" else f"archive/{key}"


def others_of(genres: Sequence[str], rng: np.random.Generator) -> dict[str, list[str]]:
    """Return moods, instruments and a category that fit these genres."""
    moods = sorted({mood for genre in genres for mood in GENRES[genre][1]})
    instruments = sorted({one for genre in genres for one in GENRES[genre][2]})
    is_noise = "Sound Design" in genres
    category = "Sound effect" if is_noise else "Full mix"
    if not is_noise and rng.random() < 0.2:
        category = "Underscore"
    return {
        "mood": [one for one in moods if rng.random() < 0.8][:2],
        "instrumentation": [one for one in instruments if rng.random() < 0.9][:2],
        "category": [category],
    }


# --- the rows -----------------------------------------------------------------------------
def start_demo() -> Library:
    """Return the demo library; a new one is marked as synthetic when it is created."""
    library, _ = libraries.get_or_create_library(SLUG, name="Demo library", is_synthetic=True)
    if not library.is_synthetic:
        raise BadInput(
            f"the library {SLUG!r} is not a demo library, so nothing synthetic is added to it: "
            "make the demo in another database"
        )
    return library


def build_demo(demo: Demo, folder: Path, audio_folder: Path, end: datetime) -> Library:
    """Create the parts of the library that do not exist yet.

    1. Create the library, its labels with definitions and keys, and its guidelines.
    2. Import the catalogue and its old labels.
    3. Write two years of answers of three curators, up to `end`.
    """
    library = start_demo()
    Library.objects.filter(pk=library.pk).update(audit_share=AUDIT_SHARE)
    _make_labels(library)
    _make_guidelines(library, end)
    for part, path in write_catalogue(demo, folder).items():
        audio = str(audio_folder) if part == "audio" else ""
        import_catalogue(SLUG, path, ImportOptions(annotator=LEGACY, audio_folder=audio))
    write_demo_answers(library, demo, end)
    return Library.objects.get(pk=library.pk)


def _make_labels(library: Library) -> None:
    for facet in Facet.objects.filter(library=library, name_key__in=FACETS):
        for name, definition in FACETS[facet.name_key].items():
            label, is_new = taxonomy.get_or_create_label(facet, name)
            if is_new:
                key = HOTKEYS.get(name, "") if facet.name_key == "genre" else ""
                Label.objects.filter(pk=label.pk).update(definition=definition, hotkey=key)


def _make_guidelines(library: Library, end: datetime) -> None:
    for number, text in enumerate(GUIDELINES, start=1):
        published = end - PERIOD / (2 if number > 1 else 1)
        GuidelineVersion.objects.get_or_create(
            library=library, number=number, defaults={"text": text, "published_at": published}
        )


def curators(end: datetime) -> tuple[SimulatedCurator, ...]:
    """Return the three curators; Ana's criteria change once."""
    return demo_curators(changed_at(end))


def demo_answers_of(
    demo: Demo, is_audit: dict[str, bool], end: datetime
) -> Iterator[tuple[str, SimulatedTracks, ScriptedAnswer]]:
    """Yield the part, its tracks and an answer, for every answer of the curators.

    They answer two years on the archive and four weeks on the audio. `is_audit` contains the
    split side of each key.
    """
    steady = tuple(
        SimulatedCurator(name, (Criteria(datetime.min.replace(tzinfo=UTC)),))
        for _, _, name in USERS
        if name
    )
    casts = {"archive": (curators(end), PERIOD), "audio": (steady, timedelta(days=28))}
    for place, (part, tracks) in enumerate(demo.parts()):
        cast, period = casts[part]
        audit_mask = np.array([is_audit[key_of(part, key)] for key in tracks.keys])
        for answer in scripted_answers(
            tracks,
            cast,
            period=(end - period, end),
            answers_per_week=_ANSWERS_A_WEEK if part == "archive" else 5.0,
            rng=np.random.default_rng([_SEED, 100 + place]),
            overlap=0.45 if part == "archive" else 0.1,
            repeats=0.06 if part == "archive" else 0.0,
            audit=0.15,
            audit_mask=audit_mask,
            repeat_min_days=30,
        ):
            yield part, tracks, answer


def write_demo_answers(library: Library, demo: Demo, end: datetime) -> int:
    """Write the answers of the curators, unless the library has them; return their number."""
    sides = dict(Track.objects.filter(library=library).values_list("key", "is_audit"))
    writer = DemoAnswerWriter(library)
    if writer.is_done():
        return 0
    for place, (part, tracks, answer) in enumerate(demo_answers_of(demo, sides, end)):
        rng = np.random.default_rng([_SEED, 200, place])
        genres = [tracks.config.names[one] for one in np.flatnonzero(answer.labels)]
        others = others_of(tracks.genres_of(answer.track), rng)
        del others["category"]  # the curators do not judge it
        writer.add(key_of(part, tracks.keys[answer.track]), answer, {"genre": genres, **others})
    return writer.write()


# --- the people ---------------------------------------------------------------------------
def passwords_for_new_users(known: dict[str, str]) -> dict[str, str]:
    """Return `known` with a new password for each demo user that does not exist yet."""
    names = {name for name, _, _ in USERS} - known.keys()
    names -= set(User.objects.filter(username__in=names).values_list("username", flat=True))
    return known | {name: secrets.token_urlsafe(9) for name in sorted(names)}


def make_users(library: Library, known: dict[str, str]) -> list[dict[str, str | None]]:
    """Create the demo users with these passwords, and return their names and passwords.

    An existing user that is not in `known` keeps their password, which is returned as None.
    """
    users: list[dict[str, str | None]] = []
    for name, role, annotator in USERS:
        with short_write():
            user, is_new = User.objects.get_or_create(username=name)
            password = known.get(name)
            if is_new:
                user.set_password(password)
                user.save()
            Membership.objects.get_or_create(
                user=user, library=library, defaults={"role": role}
            )
            if annotator:
                _link(library, user, annotator)
        users.append({"name": name, "role": str(role), "password": password})
    return users


def _link(library: Library, user: User, name: str) -> None:
    """Link the user to the annotator with this name."""
    if Annotator.objects.filter(library=library, user=user).exists():
        return
    person, _ = Annotator.objects.get_or_create(
        library=library,
        name_key=name_key(name),
        defaults={"name": name, "kind": Annotator.Kind.PERSON},
    )
    Annotator.objects.filter(pk=person.pk, user=None).update(user=user)
