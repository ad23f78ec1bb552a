"""Ensemble: one network fitted several times from different starts. Numpy only.

Stage: train. With few tracks, what a small network learns depends on its first weights; the
mean of several networks depends on them less [1]_. The members differ in their first weights
and in the order of their batches only.

.. [1] Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty
   estimation using deep ensembles", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.errors import ParameterError
from ml.networks import load_network
from ml.networks.base import (
    ByEpoch,
    EpochReport,
    FitData,
    Fitted,
    Network,
    OnEpoch,
    Plan,
    Predictor,
    Watch,
    Weights,
)
from ml.types import FloatArray, TrainingConfig

#: Distance between the seeds of two members, so that trainings with close seeds share none.
_SEED_STEP = 1_000_003


def network_of(config: TrainingConfig) -> Network:
    """Return the network of a config, as an ensemble if it has several members.

    Parameters
    ----------
    config : names the network and the number of members.

    Returns
    -------
    Network : the network, or an ensemble of it.

    Raises
    ------
    ParameterError : no network has that name.
    """
    network = load_network(config.network)
    return EnsembleNetwork(network, config.members) if config.members > 1 else network


@dataclass(frozen=True)
class EnsemblePredictor:
    """Predictor whose log odds are the mean over its members.

    Attributes
    ----------
    members : at least one.
    """

    members: tuple[Predictor, ...]

    def logits(self, items: FloatArray) -> FloatArray:
        """Return the mean log odds of the members.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """
        total = self.members[0].logits(items).astype(np.float64)
        for member in self.members[1:]:
            total += member.logits(items)
        mean: FloatArray = (total / len(self.members)).astype(np.float32)
        return mean

    def weights(self) -> Weights:
        """Return the weights of all members; the member's number precedes each name.

        Returns
        -------
        Weights : arrays by name.
        """
        return _numbered([member.weights() for member in self.members])


class EnsembleNetwork:
    """A `Network` of several members; the first is the network as it would be alone."""

    def __init__(self, network: Network, n_members: int) -> None:
        self._network, self._n_members = network, n_members
        self.name, self.needs = network.name, network.needs
        self.features, self.defaults = network.features, network.defaults
        self.is_cheap = network.is_cheap

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit every member in turn; as `ml.networks.base.Network.fit`.

        The history is the mean over the members, for the epochs that all of them reached: one
        epoch is chosen for all. `watch.on_epoch` is called after every epoch of every member.
        """
        fits = [
            self._network.fit(
                data,
                replace(plan, seed=plan.seed + number * _SEED_STEP),
                self._watch(watch, plan, number),
            )
            for number in range(self._n_members)
        ]
        # Not strict: an epoch counts only if no member had stopped before it.
        epochs = zip(*(fitted.history for fitted in fits), strict=False)
        history = tuple(_mean(reports) for reports in epochs)
        by_epoch = _ByEpochOfAll(tuple(fitted.by_epoch for fitted in fits))
        losses = [report.validation_loss for report in history]
        best = int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else len(history)
        predictor = EnsemblePredictor(tuple(fitted.predictor for fitted in fits))
        return Fitted(predictor, self._placed(history, watch, plan), best, by_epoch)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild all members; as `ml.networks.base.Network.restore`."""
        own: list[Weights] = [{} for _ in range(self._n_members)]
        for name, value in weights.items():
            number, _, rest = name.partition(".")
            if not number.isdigit() or int(number) >= self._n_members:
                raise ParameterError(
                    f"no member of {self.name!r} has the weights {name!r}; restore them with "
                    "the number of members they were trained with"
                )
            own[int(number)][rest] = value
        restored = [self._network.restore(plan, item_shape, n_labels, each) for each in own]
        return EnsemblePredictor(tuple(restored))

    def _watch(self, watch: Watch, plan: Plan, number: int) -> Watch:
        if watch.on_epoch is None:
            return replace(watch, first_epoch=0)
        forward = self._forward(watch.on_epoch, watch, plan, number)
        return replace(watch, first_epoch=0, on_epoch=forward)

    def _forward(self, on_epoch: OnEpoch, watch: Watch, plan: Plan, number: int) -> OnEpoch:
        """Return a callback that reports a member's epoch as a share of all members'."""

        def forward(report: EpochReport) -> None:
            way = -(-(number * plan.epochs + report.epoch) // self._n_members)
            on_epoch(replace(report, epoch=watch.first_epoch + way, start=number + 1))

        return forward

    def _placed(
        self, history: tuple[EpochReport, ...], watch: Watch, plan: Plan
    ) -> tuple[EpochReport, ...]:
        epochs = watch.epochs or plan.epochs
        return tuple(
            replace(report, epoch=watch.first_epoch + number, epochs=epochs)
            for number, report in enumerate(history, start=1)
        )


@dataclass(frozen=True)
class _ByEpochOfAll:
    """Weights of all members after each epoch that all of them reached."""

    members: tuple[ByEpoch, ...]

    def __len__(self) -> int:
        return min(len(member) for member in self.members)

    def __getitem__(self, epoch: int) -> Weights:
        return _numbered([member[epoch] for member in self.members])


def _numbered(each: list[Weights]) -> Weights:
    return {
        f"{number}.{name}": value
        for number, weights in enumerate(each)
        for name, value in weights.items()
    }


def _mean(reports: tuple[EpochReport, ...]) -> EpochReport:
    """Return the mean of the members' reports of one epoch; seconds are summed."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(report, name) for report in reports]))

    return replace(
        reports[0],
        loss=mean("loss"),
        validation_loss=mean("validation_loss"),
        validation_macro_ap=mean("validation_macro_ap"),
        binary_accuracy=mean("binary_accuracy"),
        validation_binary_accuracy=mean("validation_binary_accuracy"),
        seconds=sum(report.seconds for report in reports),
    )
