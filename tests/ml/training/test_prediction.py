from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ml import networks
from ml.errors import CancelledError, ParameterError
from ml.evaluation.cross_validation import scores
from ml.features.track_features import ArrayFeatures
from ml.training import prediction
from ml.training.fit import train
from ml.training.prediction import pool_probabilities
from ml.training.prediction_store import PredictionArray, PredictionFileError, write_predictions
from ml.types import TrainingConfig
from tests.ml import tiny_windows
from tests.ml.planted import planted_tracks, planted_windows

FEATURES, LABELS, GROUPS = planted_tracks(90)


@pytest.fixture(scope="module")
def model():
    return train(FEATURES, LABELS, GROUPS, TrainingConfig(network="pooled-numpy", epochs=3))


@pytest.fixture
def probabilities(rng):
    return rng.random((50, 11)).astype(np.float32)


def test_the_pool_is_scored_as_the_model_says(model):
    scored = pool_probabilities(model, FEATURES)
    assert scored.dtype == np.float16
    np.testing.assert_allclose(scored, model.probabilities(FEATURES), atol=5e-4)


def test_blocks_do_not_show_in_the_result(model, monkeypatch):
    monkeypatch.setattr(prediction, "_TRACKS_A_BLOCK", 40)
    seen = []
    scored = pool_probabilities(model, FEATURES, lambda *at: seen.append(at), dtype=np.float32)
    np.testing.assert_allclose(scored, model.probabilities(FEATURES), atol=1e-6)
    assert seen == [(40, 90), (80, 90), (90, 90)]


def test_scoring_can_be_cancelled(model):
    with pytest.raises(CancelledError):
        pool_probabilities(model, FEATURES, should_stop=lambda: True)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_never_scored_by_the_prior(model, bad):
    broken = FEATURES.summaries().copy()
    broken[7, 2] = bad
    for score in (
        model.logits,
        model.probabilities,
        lambda held: pool_probabilities(model, held),
    ):
        with pytest.raises(ParameterError, match="not finite"):
            score(ArrayFeatures(broken))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_window_that_is_not_finite_is_an_error_and_none_is_the_prior(monkeypatch, bad):
    where = f"{tiny_windows.__name__}:NETWORK"
    monkeypatch.setitem(networks.REGISTRY, "tiny-windows", where)
    features, labels, groups = planted_windows(60)
    model = train(features, labels, groups, TrainingConfig(network="tiny-windows", epochs=2))
    windows = [held.astype(np.float32) for held in features.track_windows[:3]]
    windows[1] = windows[1][:0]
    logits, probabilities = scores(model, ArrayFeatures(None, windows))
    assert np.isnan(logits).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(probabilities[1], model.prior, rtol=1e-6)
    windows[2][-1, 0, 0] = bad
    with pytest.raises(ParameterError, match="not finite"):
        scores(model, ArrayFeatures(None, windows))


def test_predictions_come_back_by_label_and_by_track(probabilities, tmp_path):
    stored = write_predictions(tmp_path / "sets" / "p1.npy", probabilities)
    opened = PredictionArray.open(stored.path, stored.sha256)
    assert (opened.n_labels, opened.n_tracks) == (11, 50) == (stored.n_labels, stored.n_tracks)
    np.testing.assert_allclose(opened.label(10), probabilities[:, 10], atol=5e-4)
    rows = np.array([49, 0, 7])
    np.testing.assert_allclose(opened.tracks(rows), probabilities[rows], atol=5e-4)
    assert opened.tracks(rows).dtype == np.float32


def test_the_file_is_a_plain_npy_label_major_and_mapped(probabilities, tmp_path):
    stored = write_predictions(tmp_path / "p.npy", probabilities)
    plain = np.load(stored.path, allow_pickle=False)
    assert plain.shape == (11, 50)
    assert plain.dtype == np.float16
    assert isinstance(PredictionArray.open(stored.path).values, np.memmap)
    assert hashlib.sha256(stored.path.read_bytes()).hexdigest() == stored.sha256
    assert stored.path.stat().st_size == stored.size_bytes


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_an_empty_pool_can_be_stored(tmp_path, shape):
    stored = write_predictions(tmp_path / "p.npy", np.zeros(shape))
    opened = PredictionArray.open(stored.path, stored.sha256)
    assert (opened.n_tracks, opened.n_labels) == shape


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused_and_leaves_no_file(probabilities, tmp_path, bad):
    probabilities[3, 9] = bad
    with pytest.raises(ParameterError, match=r"\[0, 1\]"):
        write_predictions(tmp_path / "p.npy", probabilities)
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_is_refused(probabilities, tmp_path):
    stored = write_predictions(tmp_path / "p.npy", probabilities)
    content = bytearray(stored.path.read_bytes())
    content[-1] ^= 1
    stored.path.write_bytes(content)
    with pytest.raises(PredictionFileError, match="not the file"):
        PredictionArray.open(stored.path, stored.sha256)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array at all"])
def test_a_file_that_holds_no_array_is_refused(tmp_path, content):
    (tmp_path / "p.npy").write_bytes(content)
    with pytest.raises(PredictionFileError):
        PredictionArray.open(tmp_path / "p.npy")


def test_a_truncated_missing_or_foreign_file_is_refused(probabilities, tmp_path):
    stored = write_predictions(tmp_path / "p.npy", probabilities)
    stored.path.write_bytes(stored.path.read_bytes()[:-100])
    np.save(tmp_path / "wide.npy", np.zeros((3, 3)))
    for name in ("p.npy", "wide.npy", "none.npy"):
        with pytest.raises(PredictionFileError):
            PredictionArray.open(tmp_path / name)


def test_writing_again_replaces_and_an_open_map_keeps_the_old(probabilities, tmp_path):
    path = tmp_path / "p.npy"
    write_predictions(path, probabilities)
    before = PredictionArray.open(path)
    write_predictions(path, np.ones((50, 11)))
    np.testing.assert_allclose(before.label(0), probabilities[:, 0], atol=5e-4)
    assert (PredictionArray.open(path).label(0) == 1).all()
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.npy"]
