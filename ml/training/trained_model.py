"""Trained model: a network with its weights, calibration, thresholds and prior."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.track_features import TrackFeatures
from ml.metrics.calibration import PlattScaling
from ml.networks.base import EpochReport, Network, Plan, Predictor, ShouldStop, plan_of
from ml.networks.inputs import Scaler, scaled_inputs
from ml.networks.loop import polled, score_tracks
from ml.networks.members import network_of
from ml.training.cardinality import LabelCounts
from ml.training.losses import log_odds
from ml.training.weights import ModelFileError, SavedModel, read_model, write_model
from ml.types import FloatArray, LabelMatrix, OnProgress, TrainingConfig

#: Version of the arithmetic from features to probabilities; files of another are refused.
SEMANTICS = "training-1"
_WEIGHT_PREFIX = "network."


@dataclass(frozen=True)
class ValidationScores:
    """Labels and scores of the rows that the training did not learn from.

    A row is a track, or one window if the config splits windows.

    Attributes
    ----------
    labels : (n, n_labels). logits : float32 (n, n_labels), log odds before calibration.
    groups : (n,), split groups, by which rows are resampled.
    """

    labels: LabelMatrix
    logits: FloatArray
    groups: npt.NDArray[Any]


@dataclass(frozen=True)
class TrainedModel:
    """Result of a training, with all that a prediction needs.

    Attributes
    ----------
    config : as it was followed. label_uids : (n_labels,), of the columns.
    item_shape : shape of one input item.
    predictor : the network with its weights. scaler : of the inputs.
    platt : calibration. thresholds : float64 (n_labels,). Both are fitted on tracks from which
        the scores were not learnt.
    prior : float64 (n_labels,), share of the judged training tracks that have each label; by
        the current criteria if the training was conditioned on them.
    is_learnt : bool (n_labels,), False if training had no positive or no negative: the
        probability of such a label is always `prior`.
    counts : cardinality potentials, if the config asks for them.
    history : one report for each epoch. facts : any JSON values of the caller.
    validation : scores of the validation set; None if there was none, or if the model was
        loaded, because they are not saved.
    """

    config: TrainingConfig
    label_uids: tuple[str, ...]
    item_shape: tuple[int, ...]
    predictor: Predictor
    scaler: Scaler
    platt: PlattScaling
    thresholds: npt.NDArray[np.float64]
    prior: npt.NDArray[np.float64]
    is_learnt: npt.NDArray[np.bool_]
    counts: LabelCounts = field(default_factory=LabelCounts)
    history: tuple[EpochReport, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    validation: ValidationScores | None = None

    @property
    def n_labels(self) -> int:
        """Number of labels (columns of every output)."""
        return len(self.prior)

    @property
    def network(self) -> Network:
        """The kind of network."""
        return network_of(self.config)

    @property
    def plan(self) -> Plan:
        """The config with the network's defaults filled in."""
        return plan_of(self.network, self.config)

    def logits(
        self,
        features: TrackFeatures,
        on_items: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FloatArray:
        """Score tracks before calibration.

        Labels that were not learnt, and tracks without a window, get the log odds of the prior.

        Parameters
        ----------
        features : of n_tracks, of the configuration the model was trained on.
        on_items : called with (items scored, items) after every batch of 256.
        should_stop : polled before every batch.

        Returns
        -------
        FloatArray : float32 (n_tracks, n_labels), log odds.

        Raises
        ------
        ParameterError : the features are not of the shape trained on, or not finite.
        CancelledError : `should_stop` returned True.
        """
        raw = self._raw(features, on_items, should_stop)
        is_known = self.is_learnt & ~np.isnan(raw)
        return np.where(is_known, raw, log_odds(self.prior))

    def probabilities(
        self,
        features: TrackFeatures,
        on_items: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FloatArray:
        """Score tracks.

        Parameters
        ----------
        features, on_items, should_stop : as in `logits`.

        Returns
        -------
        FloatArray : float32 (n_tracks, n_labels), calibrated probabilities.

        Raises
        ------
        ParameterError, CancelledError : as in `logits`.
        """
        return self.calibrated(self._raw(features, on_items, should_stop))

    def calibrated(self, raw: FloatArray) -> FloatArray:
        """Turn log odds into calibrated probabilities.

        Parameters
        ----------
        raw : float32 (n_tracks, n_labels), before calibration; NaN if not scored.

        Returns
        -------
        FloatArray : float32, same shape; the prior if not scored or not learnt.
        """
        is_known = self.is_learnt & ~np.isnan(raw)
        alone = self.platt.apply(np.where(is_known, raw, 0.0))
        probabilities = self.counts.apply(np.where(is_known, alone, self.prior))
        return np.where(is_known, probabilities, self.prior).astype(np.float32)

    def _raw(
        self,
        features: TrackFeatures,
        on_items: OnProgress | None,
        should_stop: ShouldStop | None,
    ) -> FloatArray:
        if not features.n_tracks:  # features of no tracks have no shape
            return np.empty((0, self.n_labels), dtype=np.float32)
        # A conditioned model predicts as the current curators would.
        is_conditioned = self.config.criteria == "apart"
        current = np.ones(features.n_tracks, dtype=bool) if is_conditioned else None
        inputs = scaled_inputs(features, self.network.needs, self.scaler, self.plan, current)
        if inputs.item_shape != self.item_shape:
            raise ParameterError(
                f"the features are {inputs.item_shape}, the model was trained on "
                f"{self.item_shape}; use the feature configuration of the training"
            )
        return score_tracks(
            self.predictor,
            inputs,
            np.arange(features.n_tracks),
            self.n_labels,
            pooling=str(self.plan.options["pooling"]),
            on_items=on_items,
            check=polled(should_stop),
        )

    def save(self, folder: Path) -> SavedModel:
        """Write the model as a folder, whole or not at all.

        Parameters
        ----------
        folder : replaced if it exists.

        Returns
        -------
        SavedModel : with the checksum to register.
        """
        arrays: dict[str, npt.NDArray[Any]] = {
            _WEIGHT_PREFIX + name: value for name, value in self.predictor.weights().items()
        }
        arrays.update(
            {
                "scaler.centre": self.scaler.centre,
                "scaler.spread": self.scaler.spread,
                "thresholds": self.thresholds,
                "prior": self.prior,
                "is_learnt": self.is_learnt,
            }
        )
        return write_model(folder, arrays, self._facts())

    def _facts(self) -> dict[str, Any]:
        return {
            "config": self.config.canonical(),
            "label_uids": list(self.label_uids),
            "item_shape": list(self.item_shape),
            "platt": self.platt.to_dict(),
            "counts": self.counts.to_dict(),
            "history": [_without_nan(asdict(report)) for report in self.history],
            "versions": versions(),
            "facts": self.facts,
        }

    @classmethod
    def load(cls, folder: Path, expected_sha256: str) -> Self:
        """Rebuild a saved model; its checksum is compared first.

        Parameters
        ----------
        folder : as given to `save`. expected_sha256 : as `save` returned it.

        Returns
        -------
        TrainedModel : without `validation`.

        Raises
        ------
        ModelFileError : files are missing, were changed, or have other semantics.
        """
        arrays, facts = read_model(folder, expected_sha256)
        try:
            return cls._from_files(arrays, facts)
        except (KeyError, TypeError, ParameterError) as error:
            raise ModelFileError(f"{folder.name} cannot be rebuilt: {error}") from error

    @classmethod
    def _from_files(cls, arrays: dict[str, npt.NDArray[Any]], facts: dict[str, Any]) -> Self:
        found = facts["versions"]["semantics"]
        if found != SEMANTICS:
            raise ParameterError(
                f"it was trained by {found}, this program knows {SEMANTICS}; train it again"
            )
        config = TrainingConfig.from_dict(facts["config"])
        network = network_of(config)
        item_shape = tuple(int(size) for size in facts["item_shape"])
        weights = {
            name.removeprefix(_WEIGHT_PREFIX): value
            for name, value in arrays.items()
            if name.startswith(_WEIGHT_PREFIX)
        }
        n_labels = len(arrays["prior"])
        plan = plan_of(network, config)
        return cls(
            config=config,
            label_uids=tuple(facts["label_uids"]),
            item_shape=item_shape,
            predictor=network.restore(plan, item_shape, n_labels, weights),
            scaler=Scaler(arrays["scaler.centre"], arrays["scaler.spread"]),
            platt=PlattScaling.from_dict(facts["platt"]),
            counts=LabelCounts.from_dict(facts.get("counts", ())),  # older files have none
            thresholds=arrays["thresholds"],
            prior=arrays["prior"],
            is_learnt=arrays["is_learnt"],
            history=tuple(EpochReport(**_with_nan(report)) for report in facts["history"]),
            facts=facts["facts"],
        )


def versions() -> dict[str, str]:
    """Return the versions of the software that computes a model.

    Returns
    -------
    dict : semantics, numpy, and tensorflow and keras if they are installed.
    """
    found = {"semantics": SEMANTICS, "numpy": np.__version__}
    for key, packages in {
        "tensorflow": ("tensorflow", "tensorflow-cpu"),
        "keras": ("keras",),
    }.items():
        for package in packages:
            try:
                found[key] = importlib.metadata.version(package)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN, which JSON does not have, by None."""
    return {name: None if value != value else value for name, value in values.items()}


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in values.items()}
