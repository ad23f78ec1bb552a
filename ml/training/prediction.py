"""Scoring of the pool after a training: every track, in large batches.

Stage: predict, before acquisition ranks the pool. One call a window would cost about 50 ms in
Keras whatever the network, so windows of many tracks are scored 256 at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.features.track_features import SelectedTracks, TrackFeatures
from ml.networks.base import ShouldStop
from ml.training.trained_model import OnItems, TrainedModel

#: Tracks whose items are listed at once; progress and cancelling are finer than this.
_TRACKS_A_BLOCK = 4_096


def pool_probabilities(
    model: TrainedModel,
    features: TrackFeatures,
    on_progress: OnItems | None = None,
    should_stop: ShouldStop | None = None,
    dtype: npt.DTypeLike = np.float16,
) -> npt.NDArray[Any]:
    """Score every track of a pool.

    Parameters
    ----------
    model : trained. features : of n_tracks, of the configuration the model was trained on.
    on_progress : called with (tracks done, tracks) after every 4,096 tracks.
    should_stop : polled before every batch of 256 items.
    dtype : of the result; float16 keeps three digits, enough to rank and to show, in half the
        space of float32.

    Returns
    -------
    ndarray : calibrated probabilities, (n_tracks, n_labels) of `dtype`.

    Raises
    ------
    ParameterError : the features are not of the shape trained on, or not finite.
    CancelledError : `should_stop` returned True.
    """
    probabilities = np.empty((features.n_tracks, model.n_labels), dtype=dtype)
    for start in range(0, features.n_tracks, _TRACKS_A_BLOCK):
        rows = np.arange(start, min(start + _TRACKS_A_BLOCK, features.n_tracks))
        block = SelectedTracks(features, rows)
        probabilities[rows] = model.probabilities(block, should_stop=should_stop)
        if on_progress is not None:
            on_progress(int(rows[-1]) + 1, features.n_tracks)
    return probabilities
