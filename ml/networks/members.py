"""One network fitted several times from different starts, and asked together. Numpy only.

Stage: train. What a small network makes of few tracks depends on where it started; the mean of
several does so less [1]_. The members differ in their first weights and in the order of their
batches, in nothing else.

.. [1] Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty
   estimation using deep ensembles", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ml.errors import ParameterError
from ml.networks import load_network
from ml.networks.base import (
    ByEpoch,
    EpochReport,
    FitData,
    Fitted,
    FloatArray,
    Network,
    Plan,
    Predictor,
    Watch,
    Weights,
)
from ml.types import TrainingConfig

#: Between the seeds of two members: far enough that neighbouring seeds share no member.
_SEED_STEP = 1_000_003


def network_of(config: TrainingConfig) -> Network:
    """Return the network that a config asks for, with as many members as it asks for.

    Raises
    ------
    ParameterError : if no network has that name.
    """
    network = load_network(config.network)
    return Members(network, config.members) if config.members > 1 else network


@dataclass(frozen=True)
class Together:
    """Predictors whose answer is the mean of their log odds."""

    members: tuple[Predictor, ...]

    def logits(self, items: FloatArray) -> FloatArray:
        """Return float32 (m, n_labels) of scaled items."""
        total = self.members[0].logits(items).astype(np.float64)
        for member in self.members[1:]:
            total += member.logits(items)
        mean: FloatArray = (total / len(self.members)).astype(np.float32)
        return mean

    def weights(self) -> Weights:
        """Return the weights of all members, each name behind the number of its member."""
        return _numbered([member.weights() for member in self.members])


class Members:
    """A `Network` around another one; the first member is what that one alone would be."""

    def __init__(self, network: Network, n_members: int) -> None:
        self._network, self._n_members = network, n_members
        self.name, self.needs = network.name, network.needs
        self.features, self.defaults = network.features, network.defaults
        self.is_cheap = network.is_cheap

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit every member in turn; raises as the network itself does.

        The history is the mean of theirs, over the epochs that all of them saw: one epoch
        serves all. Who looks on is told of every epoch of every member.
        """
        fits = [
            self._network.fit(
                data,
                replace(plan, seed=plan.seed + number * _SEED_STEP),
                self._watch(watch, plan, number),
            )
            for number in range(self._n_members)
        ]
        # Not strict: an epoch counts only where no member had stopped before.
        epochs = zip(*(fitted.history for fitted in fits), strict=False)
        history = tuple(_mean(reports) for reports in epochs)
        by_epoch = _OfAll(tuple(fitted.by_epoch for fitted in fits))
        losses = [report.validation_loss for report in history]
        best = int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else len(history)
        predictor = Together(tuple(fitted.predictor for fitted in fits))
        return Fitted(predictor, self._placed(history, watch, plan), best, by_epoch)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild all members; raises ParameterError if their number or a shape differs."""
        own: list[Weights] = [{} for _ in range(self._n_members)]
        for name, value in weights.items():
            number, _, rest = name.partition(".")
            if not number.isdigit() or int(number) >= self._n_members:
                raise ParameterError(f"no member of {self.name!r} has the weights {name!r}")
            own[int(number)][rest] = value
        restored = [self._network.restore(plan, item_shape, n_labels, each) for each in own]
        return Together(tuple(restored))

    def _watch(self, watch: Watch, plan: Plan, number: int) -> Watch:
        if watch.on_epoch is None:
            return replace(watch, first_epoch=0)
        told = self._told(watch.on_epoch, watch, plan, number)
        return replace(watch, first_epoch=0, on_epoch=told)

    def _told(
        self, on_epoch: Callable[[EpochReport], None], watch: Watch, plan: Plan, number: int
    ) -> Callable[[EpochReport], None]:
        """Tell of a member's epoch as that share of the way through all of them."""

        def tell(report: EpochReport) -> None:
            way = -(-(number * plan.epochs + report.epoch) // self._n_members)
            on_epoch(replace(report, epoch=watch.first_epoch + way, start=number + 1))

        return tell

    def _placed(
        self, history: tuple[EpochReport, ...], watch: Watch, plan: Plan
    ) -> tuple[EpochReport, ...]:
        epochs = watch.epochs or plan.epochs
        return tuple(
            replace(report, epoch=watch.first_epoch + number, epochs=epochs)
            for number, report in enumerate(history, start=1)
        )


@dataclass(frozen=True)
class _OfAll:
    """The weights of all members after an epoch that all of them saw."""

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
    """One report of several of the same epoch; the seconds are those of all together."""

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
