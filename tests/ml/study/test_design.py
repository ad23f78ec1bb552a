"""The study in the small: what is simulated, before any recipe sees it."""

from __future__ import annotations

import numpy as np
import pytest

from ml.constants import GENRE_COUNTS
from ml.errors import ParameterError
from ml.simulation.library import SimulationConfig, simulate_tracks
from ml.simulation.windows import WindowModel, quarter_windows, simulate_windows
from ml.study.design import StudyDesign, oracle_on_study_labels, simulate_study, study_columns

SMALL = StudyDesign(n_tracks=400)


@pytest.fixture(scope="module")
def study():
    return simulate_study(SMALL, seed=0)


def test_windows_have_the_moments_of_recordings(study):
    """The constants of 38 recordings: mean and deviations of each coefficient."""
    frames = study.windows[study.windows[..., 0].min(axis=2) > -20]
    of_tracks = study.windows.mean(axis=(1, 2)).std(axis=0)
    assert study.windows.shape == (400, 4, 99, 13)
    assert study.windows.dtype == np.float32
    assert np.allclose(frames.mean(axis=(0, 1))[:5], [-2.9, 15.6, -15.3, 13.5, -13.2], atol=3)
    assert np.allclose(of_tracks[1:4], [11.3, 9.1, 11.4], rtol=0.3)
    assert np.allclose(frames.std(axis=1).mean(axis=0)[1:4], [7.2, 7.1, 7.5], rtol=0.3)


def test_silence_is_the_log_of_the_smallest_energy(study):
    is_silent = study.windows[..., 0] < -20
    share = is_silent.any(axis=2).mean()
    assert 0.005 < share < 0.05
    assert np.all(study.windows[is_silent][:, 0] == np.float32(-36.04))
    assert np.all(study.windows[is_silent][:, 1:] == 0)


def test_neighbouring_frames_hang_together():
    quiet = WindowModel(wave_share=0.0, silent_share=0.0)
    tracks = simulate_tracks(SimulationConfig(n_tracks=200, n_features=39))
    frames = simulate_windows(tracks, quiet)[..., 3]
    frames = frames - frames.mean(axis=2, keepdims=True)
    found = (frames[..., 1:] * frames[..., :-1]).mean() / (frames**2).mean()
    assert found == pytest.approx(0.7, abs=0.05)


def test_quarter_windows_are_parts_of_the_second():
    windows = np.arange(2 * 3 * 99 * 13, dtype=np.float32).reshape(2, 3, 99, 13)
    quarters = quarter_windows(windows)
    assert quarters.shape == (2, 12, 24, 13)
    assert np.array_equal(quarters[1, 0], windows[1, 0, :24])
    assert np.array_equal(quarters[1, 5], windows[1, 1, 25:49])
    assert np.array_equal(quarters[0, 11], windows[0, 2, 75:])


def test_windows_need_a_point_of_39_numbers():
    tracks = simulate_tracks(SimulationConfig(n_tracks=5, n_features=40))
    with pytest.raises(ParameterError, match="n_features is 40; windows need 39"):
        simulate_windows(tracks, WindowModel())


def test_the_same_seed_gives_the_same_library(study):
    again, other = simulate_study(SMALL, seed=0), simulate_study(SMALL, seed=1)
    assert np.array_equal(study.windows, again.windows)
    assert np.array_equal(study.on_record(), again.on_record())
    assert not np.array_equal(study.on_record(), other.on_record())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_design_allows_a_macro_ap_above_point_six(seed):
    tracks = simulate_tracks(StudyDesign().simulation(seed))
    assert oracle_on_study_labels(tracks) > 0.6


def test_one_step_less_apart_would_not():
    tracks = simulate_tracks(StudyDesign(separation=5.0).simulation(0))
    assert oracle_on_study_labels(tracks) < 0.6


def test_answering_nothing_is_right_in_93_percent_of_the_cells():
    """Two of the study's thirty labels a track, as its text says: 1 - 2/30."""
    genres = simulate_tracks(StudyDesign().simulation(0)).genres
    top = study_columns(tuple(GENRE_COUNTS))
    assert genres.sum(axis=1).mean() == pytest.approx(2.0, abs=0.02)
    rest = np.delete(genres, top, axis=1).any(axis=1)
    thirty = np.column_stack([genres[:, top], rest])
    assert 1 - thirty.mean() == pytest.approx(0.9333, abs=0.002)


def test_genres_come_at_the_prevalences_of_figure_one():
    genres = simulate_tracks(StudyDesign(n_tracks=20_000).simulation(0)).genres
    expected = 2 * np.array(list(GENRE_COUNTS.values())) / sum(GENRE_COUNTS.values())
    found = genres.mean(axis=0)
    # A second genre is never the first again, so the most frequent ones fall behind a little.
    assert found[0] == pytest.approx(expected[0], rel=0.15)
    assert np.corrcoef(found, expected)[0, 1] > 0.97


def test_each_curator_says_what_their_criteria_say(study):
    def rate(said, name):
        applies = study.tracks.genres[:, study.names.index(name)]
        return said[applies, study.names.index(name)].mean()

    assert rate(study.by_current, "Atmosphere") == pytest.approx(0.95, abs=0.05)
    assert rate(study.by_legacy, "Atmosphere") == pytest.approx(0.8 * 0.4, abs=0.1)
    chill = study.names.index("Ambient, Chill")
    assert study.by_legacy[:, chill].mean() > 1.4 * study.by_current[:, chill].mean()


def test_whole_albums_are_held_out_and_judged_by_the_current_curator(study):
    held = study.is_held_out
    assert held.mean() == pytest.approx(0.2, abs=0.05)
    assert not set(study.groups[held]) & set(study.groups[~held])
    assert study.is_current[held].all()
    assert study.is_current[~held].mean() == pytest.approx(0.4, abs=0.07)
    expected = np.where(study.is_current[:, None], study.by_current, study.by_legacy)
    assert np.array_equal(study.on_record(), expected)
