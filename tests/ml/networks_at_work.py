"""Check of what every network must do; each network's test calls it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import CancelledError, ParameterError
from ml.evaluation.cross_validation import evaluate_model
from ml.features.track_features import ArrayFeatures, SelectedTracks
from ml.networks import load_network
from ml.networks.base import FitData, plan_of
from ml.networks.inputs import SummaryInputs
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.planted import planted_tracks, planted_windows


def summary_data(n_tracks=64, n_labels=3) -> FitData:
    """Label l is there where value l is above 0.5; one in five elements was not judged."""
    rng = np.random.default_rng(4)
    inputs = SummaryInputs(rng.normal(size=(n_tracks, 6)).astype(np.float32))
    targets = (inputs.values[:, :n_labels] > 0.5).astype(np.float32)
    mask = rng.random(targets.shape) < 0.8
    return FitData(
        inputs=inputs,
        targets=targets,
        weights=np.where(mask, 1 + targets, 0).astype(np.float32),
        mask=mask,
        training=np.arange(48),
        validation=np.arange(48, n_tracks),
        output_bias=np.array([-1, 0, 1], np.float32),
    )


def planted_images(n_tracks=120, n_labels=3, shape=(24, 40), seed=0):
    """Label l lights up band 10 l + 5 of every window of a track; 1-3 windows."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n_tracks, n_labels)) < 0.4
    windows = []
    for track in range(n_tracks):
        values = rng.normal(size=(rng.integers(1, 4), *shape))
        for label in np.flatnonzero(labels[track]):
            values[..., 10 * label + 5] += 2.0
        windows.append(values.astype(np.float16))
    matrix = LabelMatrix(labels, np.ones_like(labels))
    return ArrayFeatures(None, windows), matrix, np.arange(n_tracks) // 3


def check_network(
    name: str,
    folder,
    *,
    needs: str,
    config: TrainingConfig | None = None,
    planted=None,
    above: float = 1.8,
    atol: float = 1e-5,
) -> None:
    """Learn a planted task, come back from files, repeat by seed, ignore unjudged, stop.

    `above` is the macro AP wanted, in units of the baseline's.
    """
    network = load_network(name)
    assert network.name == name
    assert network.needs == needs
    config = replace(config or TrainingConfig(), network=name)
    planted = planted or (planted_tracks(150) if needs == "summary" else planted_windows(150))
    features, labels, groups = planted
    seen, unseen = np.arange(110), np.arange(110, labels.n_tracks)
    task = SelectedTracks(features, seen), labels.rows(seen), groups[seen], config
    held = SelectedTracks(features, unseen)
    model = train(*task)
    figures, constant = evaluate_model(model, held, labels.rows(unseen))
    assert figures["macro_ap"] > above * constant["macro_ap"]
    assert figures["bce_skill"] > 0.2
    _check_files(model, held, folder / name)
    # One group: nothing is held out, so that these are one fit each.
    _check_mask(features, labels, np.zeros_like(groups), replace(config, epochs=2), atol)
    asked = iter([False] * 2)
    with pytest.raises(CancelledError):
        train(*task, should_stop=lambda: next(asked, True))
    plan = plan_of(network, config)
    with pytest.raises(ParameterError, match="do not fit"):
        network.restore(plan, model.item_shape, 7, model.predictor.weights())


def _check_files(model: TrainedModel, held: SelectedTracks, folder) -> None:
    saved = model.save(folder)
    loaded = TrainedModel.load(saved.folder, saved.sha256)
    np.testing.assert_allclose(loaded.logits(held), model.logits(held), atol=1e-5)
    assert all(array.dtype == np.float32 for array in model.predictor.weights().values())


def _check_mask(features, labels, groups, config, atol) -> None:
    """Give the same outcome twice, even if all answers that do not count are flipped."""
    mask = np.random.default_rng(0).random(labels.labels.shape) < 0.7
    first, second = (
        train(features, LabelMatrix(values, mask), groups, config).logits(features)
        for values in (labels.labels, labels.labels ^ ~mask)
    )
    np.testing.assert_allclose(first, second, atol=atol)
