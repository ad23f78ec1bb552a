"""The simulator's Ana moves her criteria on a known day: the words find that day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labeling.loop.consistency import criteria_changes
from labeling.loop.datasets.arrays import build_arrays
from labeling.loop.datasets.selection import Selection
from ml.simulation.library import SimulationConfig, demo_curators, simulate_tracks
from tests.answers import say
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db
CHANGED_AT = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = ("Atmosphere", "Ambient, Chill", "Electronica")


@pytest.fixture
def library():
    """Each track is judged by Ana, half of them before and half after, and by Ben's import."""
    tracks = simulate_tracks(
        SimulationConfig(n_tracks=120, labels=tuple((name, 1.0) for name in NAMES), seed=3)
    )
    ana, ben, _ = demo_curators(CHANGED_AT)
    library, rng = make_library(), np.random.default_rng(4)
    labels = make_labels(library, names=NAMES)
    people = {
        ana: (make_annotator(library, "Ana"), "judgement"),
        ben: (make_annotator(library, "Ben", kind="legacy"), "imported"),
    }
    for number, key in enumerate(tracks.keys):
        track = make_track(library, key)
        at = CHANGED_AT + timedelta(days=number - 60)
        for curator, (annotator, kind) in people.items():
            heard = curator.answer(tracks, number, at, rng)
            yes = [label for label, there in zip(labels, heard, strict=True) if there]
            say(annotator, track, yes, offered=labels, kind=kind, at=f"{at:%Y-%m-%d}")
    criteria_changes.declare(
        library, people[ana][0], CHANGED_AT.date(), "Atmosphere is Ambient now"
    )
    return library


def rates(library, **selection):
    frozen = build_arrays(library, Selection(min_support=1, negatives="closed", **selection))
    names = [one["name"] for one in frozen.facts["labels"]]
    shares = frozen.matrix.labels.sum(axis=0) / frozen.matrix.label_mask.sum(axis=0)
    return len(frozen.track_ids), dict(zip(names, shares.tolist(), strict=True))


def test_each_side_holds_the_criteria_of_its_time(library):
    n_current, current = rates(library, criteria="current")
    n_before, before = rates(library, criteria="legacy", annotators=("Ana",))
    assert (n_current, n_before) == (60, 60)
    # From then on most of Atmosphere is called Ambient; Electronica is heard a third as often.
    assert current["Atmosphere"] < 0.3 * before["Atmosphere"]
    assert current["Ambient, Chill"] > before["Ambient, Chill"]
    assert current["Electronica"] < 0.6 * before["Electronica"]


def test_legacy_has_the_catalogue_of_all_times(library):
    n_legacy, legacy = rates(library, criteria="legacy")
    n_ben, _ = rates(library, annotators=("Ben",))
    assert n_legacy == n_ben == 120
    # Where Ana judged by her old criteria she still tops the catalogue, and nowhere else.
    _, before = rates(library, criteria="legacy", annotators=("Ana",))
    assert legacy["Atmosphere"] == pytest.approx(
        (before["Atmosphere"] + _second_half(library)) / 2, abs=0.02
    )


def _second_half(library):
    return rates(library, annotators=("Ben",), since=f"{CHANGED_AT:%Y-%m-%d}")[1]["Atmosphere"]
