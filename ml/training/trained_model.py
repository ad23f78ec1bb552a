"""A trained model: a network with weights, and all that turns its outputs into decisions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
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
from ml.types import LabelMatrix, TrainingConfig

FloatArray = npt.NDArray[np.float32]
OnItems = Callable[[int, int], None]

#: Version of the arithmetic from features to probabilities; a change of it makes new models.
SEMANTICS = "training-1"
_WEIGHT_PREFIX = "network."


@dataclass(frozen=True)
class HeldBack:
    """What a training held back of its own tracks or windows, and said of it.

    `labels` (n, n_labels), `logits` float32 of the same shape, raw; a row is a track, or with
    a split of windows one held-back window. `groups` (n,) is what no honest split would cut,
    so what a row is resampled with.
    """

    labels: LabelMatrix
    logits: FloatArray
    groups: npt.NDArray[Any]


@dataclass(frozen=True)
class TrainedModel:
    """What a training gives and a prediction needs.

    Attributes
    ----------
    config : what was asked for. label_uids : names of the columns, in order.
    item_shape : shape of one input item.
    predictor : the network with its weights. scaler : statistics of the training inputs.
    platt, thresholds : fitted out of fold on the training side.
    prior : float64 (n_labels,), share of the judged training tracks that have each label; of
        those by the present criteria, where these were told apart.
    is_learnt : bool (n_labels,); False where training had no positive, or no negative: that
        column of every output is the constant `prior`.
    counts : how many labels of a facet tracks carry, where the config asks for that.
    history : one report an epoch. facts : anything JSON-able the caller wants kept.
    validation : what the training itself held back, None where it held nothing back or the
        model was loaded; not saved.
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
    validation: HeldBack | None = None

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
        on_items: OnItems | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FloatArray:
        """Raw log odds, before calibration: float32 (n_tracks, n_labels).

        Items are scored 256 at a time; a track's logits are the mean over its windows. Labels
        that were not learnt, and tracks without a window, get the log odds of the prior.

        Raises
        ------
        ParameterError : the features are not of the shape trained on, or not finite.
        CancelledError : `should_stop` said so; it is polled before every batch.
        """
        raw = self._raw(features, on_items, should_stop)
        is_known = self.is_learnt & ~np.isnan(raw)
        return np.where(is_known, raw, log_odds(self.prior))

    def probabilities(
        self,
        features: TrackFeatures,
        on_items: OnItems | None = None,
        should_stop: ShouldStop | None = None,
    ) -> FloatArray:
        """Calibrated probabilities, float32 (n_tracks, n_labels); errors as `logits`."""
        return self.calibrated(self._raw(features, on_items, should_stop))

    def calibrated(self, raw: FloatArray) -> FloatArray:
        """Turn raw logits (NaN where nothing was scored) into probabilities."""
        is_known = self.is_learnt & ~np.isnan(raw)
        alone = self.platt.apply(np.where(is_known, raw, 0.0))
        probabilities = self.counts.apply(np.where(is_known, alone, self.prior))
        return np.where(is_known, probabilities, self.prior).astype(np.float32)

    def _raw(
        self,
        features: TrackFeatures,
        on_items: OnItems | None,
        should_stop: ShouldStop | None,
    ) -> FloatArray:
        if not features.n_tracks:  # no tracks have no shape either
            return np.empty((0, self.n_labels), dtype=np.float32)
        # What a model says is what the present curators would say.
        is_apart = self.config.criteria == "apart"
        present = np.ones(features.n_tracks, dtype=bool) if is_apart else None
        inputs = scaled_inputs(features, self.network.needs, self.scaler, self.plan, present)
        if inputs.item_shape != self.item_shape:
            raise ParameterError(
                f"the features are {inputs.item_shape}, the model was trained on "
                f"{self.item_shape}"
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
        """Write the model as the folder `folder`, whole or not at all; keep the sha256."""
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
        """Rebuild a model from `save`, after its checksum was compared.

        Raises
        ------
        ModelFileError : files missing, changed since, or not of these semantics.
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
            raise ParameterError(f"it was trained by {found}, this program knows {SEMANTICS}")
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
    """Return what computed a model: semantics, numpy, and TensorFlow and Keras if there."""
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
    """JSON has no NaN: what could not be computed is null."""
    return {name: None if value != value else value for name, value in values.items()}


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in values.items()}
