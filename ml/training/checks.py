"""Checks before a training: the inputs it refuses, and the config it can follow. Numpy only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.track_features import TrackFeatures
from ml.networks.base import Network
from ml.types import LabelMatrix, TrainingConfig

#: Fewest tracks by the current criteria for criteria-conditioned training. On simulated
#: libraries it harmed the probabilities at 25 tracks and improved them at 100.
MINIMUM_CURRENT_TRACKS = 75


def require_fitting(
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    config: TrainingConfig,
    uids: tuple[str, ...],
    facets: tuple[str, ...] = (),
) -> None:
    """Refuse inputs whose shapes differ, and a share to hold out that is out of range.

    Parameters
    ----------
    features, labels : of n_tracks. groups : (n_tracks,). config : with the share.
    uids : (n_labels,). facets : (n_labels,), or empty.

    Raises
    ------
    ParameterError : as above.
    """
    if not features.n_tracks == labels.n_tracks == len(groups):
        raise ParameterError(
            f"features of {features.n_tracks} tracks, labels of {labels.n_tracks} and groups "
            f"of {len(groups)} must be of the same tracks, in one order"
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
    """Refuse a split by windows for a network that does not read windows.

    Parameters
    ----------
    network : that is trained. config : with the split.

    Raises
    ------
    ParameterError : as above.
    """
    if config.split == "windows" and network.needs != "windows":
        raise ParameterError(
            f"split is 'windows', but network {network.name!r} reads one summary a track; "
            "take 'grouped' or 'tracks', or a network of windows"
        )


def feasible_config(
    config: TrainingConfig, learnt: LabelMatrix, is_present: npt.NDArray[np.bool_] | None
) -> TrainingConfig:
    """Return the config without criteria-conditioned training if the tracks do not allow it.

    It needs labels by two criteria, and at least `MINIMUM_CURRENT_TRACKS` tracks by the current
    ones.

    Parameters
    ----------
    config : what was asked for. learnt : labels to learn from.
    is_present : bool (n_tracks,), True if the labels of a track follow the current criteria;
        None if that is not known.

    Returns
    -------
    TrainingConfig : the same, or with criteria "same".

    Raises
    ------
    ParameterError : `is_present` has another length.
    """
    if config.criteria == "same":
        return config
    if is_present is not None and is_present.shape != (learnt.n_tracks,):
        raise ParameterError(
            f"is_present {is_present.shape} of {learnt.n_tracks} tracks: give one value a track"
        )
    if is_present is None:
        return replace(config, criteria="same")
    is_current = is_present[learnt.label_mask.any(axis=1)]
    is_worth_it = MINIMUM_CURRENT_TRACKS <= int(is_current.sum()) < len(is_current)
    return config if is_worth_it else replace(config, criteria="same")
