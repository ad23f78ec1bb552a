"""The simulated library has the study's shape, and its curators do what their criteria say."""

from __future__ import annotations

import csv
import json
import pathlib
from datetime import UTC, datetime

import numpy as np
import pytest

from ml.constants import GENRE_COUNTS, N_TRACKS, study_labels
from ml.errors import ParameterError
from ml.metrics.scores import evaluate
from ml.simulation.library import (
    Criteria,
    SimulatedCurator,
    SimulationConfig,
    demo_curators,
    oracle_macro_ap,
    oracle_probabilities,
    simulate_tracks,
)
from ml.types import LabelMatrix

SHARED = pathlib.Path(__file__).resolve().parents[3].parent / "shared" / "data"
EARLY, LATE = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def tracks():
    return simulate_tracks(SimulationConfig(n_tracks=3_000))


def test_the_counts_are_those_of_the_study():
    labels = study_labels()
    assert (len(GENRE_COUNTS), sum(GENRE_COUNTS.values())) == (55, 77_772)
    assert (len(labels), labels[0], labels[-1]) == (
        30,
        ("Filmscore", 12_730),
        ("Others", 5_408),
    )
    assert sum(count for _, count in labels) / N_TRACKS == pytest.approx(1.606, abs=5e-4)


@pytest.mark.shared_data
def test_the_counts_equal_the_shared_file():
    path = SHARED / "genre_counts.csv"
    with path.open(newline="") as file:
        rows = {row["genre"]: int(row["occurrences"]) for row in csv.DictReader(file)}
    assert rows == GENRE_COUNTS


def test_the_same_configuration_gives_the_same_tracks_also_after_json():
    config = SimulationConfig(n_tracks=50, labels=(("A", 3), ("B", 1)))
    again = SimulationConfig.from_dict(json.loads(json.dumps(config.canonical())))
    assert again == config
    assert again.digest() == config.digest()
    first, second = simulate_tracks(config), simulate_tracks(again)
    np.testing.assert_array_equal(first.features, second.features)
    assert first.keys == second.keys
    other = simulate_tracks(SimulationConfig(n_tracks=50, labels=(("A", 3), ("B", 1)), seed=1))
    assert (other.features != first.features).any()


@pytest.mark.parametrize("labels_per_track", [1.0, 1.6, 2.0])
def test_prevalences_and_cardinality_are_those_asked_for(labels_per_track):
    config = SimulationConfig(n_tracks=20_000, labels_per_track=labels_per_track, album_lean=0)
    genres = simulate_tracks(config).genres
    assert set(genres.sum(axis=1).tolist()) <= {1, 2}
    assert genres.sum(axis=1).mean() == pytest.approx(labels_per_track, abs=0.03)
    expected = config.weights * labels_per_track
    common = expected > 0.02
    np.testing.assert_allclose(genres.mean(axis=0)[common], expected[common], rtol=0.16)


def test_keys_are_unique_paths_of_the_album(tracks):
    assert len(set(tracks.keys)) == 3_000
    for key, title, album in zip(tracks.keys, tracks.titles, tracks.albums, strict=True):
        assert key.startswith(f"{album}/")
        assert title in key
    assert len(set(tracks.albums)) == len(np.unique(tracks.album))


def test_a_family_shares_genres_album_and_nearly_the_features(tracks):
    families = np.unique(tracks.family[tracks.family >= 0])
    assert 150 < len(families) < 350
    for family in families:
        rows = np.flatnonzero(tracks.family == family)
        assert len(rows) >= 2
        assert (tracks.genres[rows] == tracks.genres[rows[0]]).all()
        assert len(set(tracks.album[rows].tolist())) == 1
    rows = np.flatnonzero(tracks.family >= 0)
    mixes = rows[tracks.family[rows] != rows]
    near = np.linalg.norm(tracks.features[mixes] - tracks.features[mixes - 1], axis=1).mean()
    far = np.linalg.norm(tracks.features[1:] - tracks.features[:-1], axis=1).mean()
    assert near < far / 4


def test_albums_lean_to_one_genre(tracks):
    def same_first_neighbour(tracks):
        together = tracks.album[1:] == tracks.album[:-1]
        shared = (tracks.genres[1:] & tracks.genres[:-1]).any(axis=1)
        return shared[together].mean()

    loose = SimulationConfig(n_tracks=3_000, album_lean=0.0)
    assert same_first_neighbour(tracks) > same_first_neighbour(simulate_tracks(loose)) + 0.1


def test_the_oracle_is_calibrated_and_above_what_a_wrong_model_reaches(tracks):
    p = oracle_probabilities(tracks)
    np.testing.assert_allclose(
        p.sum(axis=1).mean(), tracks.genres.sum(axis=1).mean(), atol=0.02
    )
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 1.0)):
        inside = (p >= low) & (p <= high)
        assert tracks.genres[inside].mean() == pytest.approx(p[inside].mean(), abs=0.03)
    nearest = -((tracks.features[:, None] - tracks.genre_means[None]) ** 2).sum(axis=2)
    naive = 1 / (1 + np.exp(-(nearest - nearest.mean()) / 50))
    prior = tracks.genres.mean(axis=0)
    labels = LabelMatrix(tracks.genres, np.ones_like(tracks.genres))
    naive_ap = evaluate(naive, labels, prior, prior=prior, n_bootstrap=0)["macro_ap"]
    assert prior.mean() * 3 < naive_ap < oracle_macro_ap(tracks)


def test_separation_and_label_noise_set_the_ceiling():
    def ceiling(**values):
        return oracle_macro_ap(simulate_tracks(SimulationConfig(n_tracks=1_500, **values)))

    near, default, noisy = ceiling(separation=2.0), ceiling(), ceiling(label_noise=0.2)
    assert near < noisy < default


@pytest.mark.parametrize(
    "values",
    [{"labels_per_track": 2.1}, {"n_tracks": 0}, {"labels": (("A", 1),)},
     {"labels": (("A", 1), ("B", 0))}],
)  # fmt: skip
def test_impossible_configurations_are_refused(values):
    with pytest.raises(ParameterError):
        SimulationConfig(**values)


def answers_of(curator, tracks, at, n=3_000):
    rng = np.random.default_rng(0)
    return np.array([curator.answer(tracks, index, at, rng) for index in range(n)])


def test_a_curator_has_the_sensitivity_and_specificity_of_the_criteria(tracks):
    criteria = Criteria(EARLY, 0.8, 0.99, by_label=(("Pop", 0.4, 0.9),))
    curator = SimulatedCurator("Dan", (criteria,), gives_at_least_one=False)
    said = answers_of(curator, tracks, EARLY)
    pop = tracks.config.names.index("Pop")
    rest = np.arange(30) != pop
    assert said[:, rest][tracks.genres[:, rest]].mean() == pytest.approx(0.8, abs=0.015)
    assert said[:, rest][~tracks.genres[:, rest]].mean() == pytest.approx(0.01, abs=0.002)
    assert said[tracks.genres[:, pop], pop].mean() == pytest.approx(0.4, abs=0.06)
    assert said[~tracks.genres[:, pop], pop].mean() == pytest.approx(0.1, abs=0.015)


def test_one_who_must_choose_always_names_something(tracks):
    deaf = Criteria(EARLY, sensitivity=0.0, specificity=1.0)
    said = answers_of(SimulatedCurator("Eve", (deaf,)), tracks, EARLY, n=200)
    assert (said.sum(axis=1) == 1).all()
    assert not (said & tracks.genres[:200]).any(axis=1).all()
    named = {int(np.flatnonzero(row)[0]) for row in said}
    assert named <= set(tracks.neighbours().tolist())


def test_criteria_hold_from_their_date_on(tracks):
    ana, ben, _ = demo_curators(LATE)
    names = tracks.config.names
    atmosphere, chill = names.index("Atmosphere"), names.index("Ambient, Chill")
    before, after = (answers_of(ana, tracks, at) for at in (EARLY, LATE))
    assert after[:, atmosphere].mean() < 0.5 * before[:, atmosphere].mean()
    assert after[:, chill].mean() > 1.6 * before[:, chill].mean()
    steady = [answers_of(ben, tracks, at) for at in (EARLY, LATE)]
    np.testing.assert_array_equal(*steady)
