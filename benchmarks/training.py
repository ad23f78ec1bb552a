"""Time of training and scoring: `python -m benchmarks.training [--tracks N] [--json]`.

Random MFCC-like features; only speed is measured here. Rates depend on the
machine and the moment: compare rows of one run, not runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace

import numpy as np

from ml.features.track_features import ArrayFeatures
from ml.networks import load_network
from ml.networks.base import plan_of
from ml.networks.inputs import Scaler, scaled_inputs
from ml.training.fit import train
from ml.training.prediction import pool_probabilities
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix, TrainingConfig

N_LABELS = 30
SUMMARY_SIZE = 233
WINDOW_SHAPES = {"1 s": (99, 13), "0.25 s": (24, 13)}
WINDOWS_A_TRACK = 8


def labelled(n_tracks: int, seed: int = 0) -> tuple[LabelMatrix, np.ndarray]:
    """About two of 30 labels a track; albums of ten."""
    labels = np.random.default_rng(seed).random((n_tracks, N_LABELS)) < 2 / N_LABELS
    return LabelMatrix(labels, np.ones_like(labels)), np.arange(n_tracks) // 10


def summaries(labels: LabelMatrix, seed: int = 1) -> ArrayFeatures:
    """Summaries that hint at the labels, so that training does not stop early."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(N_LABELS, SUMMARY_SIZE)).astype(np.float32)
    noise = rng.normal(size=(labels.n_tracks, SUMMARY_SIZE)).astype(np.float32)
    return ArrayFeatures(labels.labels.astype(np.float32) @ mixing * np.float32(0.3) + noise)


def window_features(n_tracks: int, shape: tuple[int, int]) -> ArrayFeatures:
    rng = np.random.default_rng(2)
    size = (n_tracks, WINDOWS_A_TRACK, *shape)
    windows = rng.normal(scale=15, size=size).astype(np.float16)
    return ArrayFeatures(None, list(windows))


def time_pooled(network: str, n_tracks: int) -> dict[str, object]:
    labels, groups = labelled(n_tracks)
    features = summaries(labels)
    config = TrainingConfig(network=network)
    started = time.perf_counter()
    model = train(features, labels, groups, config)
    trained = time.perf_counter()
    pool_probabilities(model, features)
    return {
        "what": f"{network}, all of a training (calibration included)",
        "tracks": n_tracks,
        "epochs": len(model.history),
        "train_s": round(trained - started, 2),
        "predict_s": round(time.perf_counter() - trained, 2),
    }


def time_windows(name: str, n_tracks: int) -> dict[str, object]:
    """One epoch of the study's network, less its first trace, and scoring of the same."""
    shape = WINDOW_SHAPES[name]
    labels, groups = labelled(n_tracks)
    features = window_features(n_tracks, shape)
    config = TrainingConfig(
        network="seed-cnn", epochs=2, batch_size=96, options=(("train_windows", 8.0),)
    )
    model = train(features, labels, groups, config)
    n_validation = round(n_tracks * config.validation_share)
    n_trained = (n_tracks - n_validation) * WINDOWS_A_TRACK
    epoch_s = model.history[-1].seconds
    started = time.perf_counter()
    pool_probabilities(model, features)
    predict_s = time.perf_counter() - started
    return {
        "what": f"seed-cnn, {name} windows",
        "windows": n_tracks * WINDOWS_A_TRACK,
        "train_windows_per_s": round(n_trained / epoch_s),
        "predict_windows_per_s": round(n_tracks * WINDOWS_A_TRACK / predict_s),
        "one_call_a_window_per_s": round(_one_by_one(model, features)),
    }


def _one_by_one(model: TrainedModel, features: ArrayFeatures, n_calls: int = 30) -> float:
    """Windows a second by Keras' `predict`, one call a window, as the tutorial's loop did."""
    network = load_network("seed-cnn")
    plan = plan_of(network, replace(model.config))
    keras_model = network.build(plan, model.item_shape, model.n_labels)  # type: ignore[attr-defined]
    scaler = Scaler(model.scaler.centre, model.scaler.spread)
    inputs = scaled_inputs(features, "windows", scaler, plan)
    items = inputs.fixed(np.arange(n_calls))[:n_calls]
    keras_model.predict(inputs.gather(items[:1]), verbose=0)
    started = time.perf_counter()
    for item in items:
        keras_model.predict(inputs.gather(item[None]), verbose=0)
    return n_calls / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=48_411, help="tracks of the library")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    rows = [
        time_pooled("pooled", 150),
        time_pooled("pooled", 5_000),
        time_pooled("pooled-numpy", 5_000),
        time_pooled("pooled", arguments.tracks),
        time_windows("1 s", 200),
        time_windows("0.25 s", 200),
    ]
    if arguments.json:
        json.dump({"rows": rows}, sys.stdout)
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
