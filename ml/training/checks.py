"""What a training refuses before it begins, and what it can follow. Numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.track_features import TrackFeatures
from ml.networks.base import Network
from ml.types import LabelMatrix, TrainingConfig

#: With fewer tracks by the present criteria telling them apart costs more than it gives: on
#: simulated libraries it harmed the probabilities at 25 tracks, helped at 100.
MINIMUM_TO_TELL_APART = 75


def require_fitting(
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    config: TrainingConfig,
    uids: tuple[str, ...],
    facets: tuple[str, ...] = (),
) -> None:
    """Raise ParameterError unless shapes fit and the share held out is in its range."""
    if not features.n_tracks == labels.n_tracks == len(groups):
        raise ParameterError(
            f"features of {features.n_tracks} tracks, labels of {labels.n_tracks} and groups "
            f"of {len(groups)} must be of the same tracks"
        )
    if len(uids) != labels.n_labels:
        raise ParameterError(f"{len(uids)} label_uids for {labels.n_labels} labels")
    if facets and len(facets) != labels.n_labels:
        raise ParameterError(f"{len(facets)} facets for {labels.n_labels} labels")
    if not 0 < config.validation_share <= 0.5:
        raise ParameterError(
            f"validation_share is {config.validation_share}; it must be above 0, at most 0.5"
        )


def require_windows(network: Network, config: TrainingConfig) -> None:
    """Raise ParameterError where windows are to be split that the network does not read."""
    if config.split == "windows" and network.needs != "windows":
        raise ParameterError(
            f"split is 'windows', but network {network.name!r} reads one summary a track; "
            "take 'grouped' or 'tracks', or a network of windows"
        )


def followed(
    config: TrainingConfig, learnt: LabelMatrix, is_present: npt.NDArray[np.bool_] | None
) -> TrainingConfig:
    """Return the config as it can be followed: criteria apart only where there are two.

    And where the present ones have at least `MINIMUM_TO_TELL_APART` tracks to learn from.

    Raises
    ------
    ParameterError : `is_present` is of other tracks.
    """
    if config.criteria == "same":
        return config
    if is_present is not None and is_present.shape != (learnt.n_tracks,):
        raise ParameterError(f"is_present {is_present.shape} of {learnt.n_tracks} tracks")
    if is_present is None:
        return replace(config, criteria="same")
    present = is_present[learnt.label_mask.any(axis=1)]
    is_worth_it = MINIMUM_TO_TELL_APART <= int(present.sum()) < len(present)
    return config if is_worth_it else replace(config, criteria="same")
