"""The real recordings: 145 clips, 14 labels, folds by recording family."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile

from ml.evaluation.cross_validation import cross_validate
from ml.features.mfcc import mfcc_windows
from ml.features.summaries import summarise
from ml.features.track_features import ArrayFeatures
from ml.types import FEATURE_CONFIGS, LabelMatrix, TrainingConfig

pytestmark = pytest.mark.shared_data

COLUMNS = [f"instrumentation{number}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def instruments(request):
    folder = request.config.rootpath.parent / "shared" / "data" / "instruments"
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = sorted({row[column] for row in rows for column in COLUMNS} - {""})
    labels = np.array([[name in [row[c] for c in COLUMNS] for name in names] for row in rows])
    config = FEATURE_CONFIGS["audiotag"]
    windows = [
        mfcc_windows(soundfile.read(folder / row["filename"], dtype="float32")[0], config)
        for row in rows
    ]
    summaries = np.stack([summarise(window) for window in windows])
    families = np.array([row["family"] for row in rows])
    features = ArrayFeatures(summaries, [window.astype(np.float16) for window in windows])
    return features, LabelMatrix(labels, np.ones_like(labels)), families


def test_the_clips_are_those_that_the_bars_were_set_on(instruments):
    _, labels, families = instruments
    assert labels.labels.shape == (145, 14)
    assert labels.labels.sum() == 371
    assert len(set(families)) == 55


def test_the_pooled_network_is_three_times_better_than_the_constant(instruments):
    result = cross_validate(*instruments, TrainingConfig(network="pooled-numpy"), n_folds=5)
    assert result.metrics["n"] == 145
    assert result.metrics["labels_scored"] == 14
    assert result.metrics["macro_ap"] >= 3.0 * result.baseline["macro_ap"]
    assert result.metrics["bce_skill"] > 0.2
    assert result.metrics["macro_f1"] > 1.5 * result.baseline["macro_f1"]


def test_its_labels_shuffled_it_is_no_better_than_the_constant(instruments):
    features, labels, families = instruments
    shuffled = labels.rows(np.random.default_rng(0).permutation(145))
    result = cross_validate(
        features, shuffled, families, TrainingConfig(network="pooled-numpy"), n_folds=5
    )
    assert result.metrics["bce_skill"] <= 0.0
    assert result.metrics["macro_ap"] < 1.5 * result.baseline["macro_ap"]
