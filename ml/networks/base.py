"""What every network offers and what it is given. Numpy only.

A network learns from *items*: the summary vector of a track, or one of its windows. It never
sees files, masks or calibration: `ml.training.fit` turns masks and class weights into one array
of element weights, scales the inputs, and calibrates what comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import CancelledError, ParameterError
from ml.types import TrainingConfig, require_choice

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]
Option = float | str | bool
Weights = dict[str, npt.NDArray[np.float32]]

#: What an item is: a track's summary vector, or one of its windows.
Needs = Literal["summary", "windows"]


@dataclass(frozen=True)
class Defaults:
    """What a network does when the TrainingConfig leaves it to the network.

    Attributes
    ----------
    epochs, batch_size, learning_rate : as in `TrainingConfig`; batch_size counts items.
    patience : epochs without a better validation loss after which training stops, >= 1.
    most_steps : where not 0, and the TrainingConfig leaves the batch size open, batches grow
        with the data so that an epoch has at most this many.
    options : the network's own parameters with their defaults; the types are binding.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    most_steps: int = 0
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A TrainingConfig with the network's defaults filled in."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    seed: int
    options: Mapping[str, Option]

    def number(self, name: str) -> float:
        """Return the numeric option `name`."""
        return float(self.options[name])

    def whole(self, name: str) -> int:
        """Return the option `name` as a whole number."""
        return int(self.options[name])


#: Options that every network understands, because `ml.training.fit` reads them.
COMMON_OPTIONS: dict[str, Option] = {
    # "standardise" per coefficient, "min-max" over all (the study's), or "none".
    "scaling": "standardise",
    # Windows drawn anew from each track in every epoch, and windows scored per track,
    # evenly spaced; 0 means all. Networks that need summaries ignore both.
    "train_windows": 4,
    "predict_windows": 8,
    # How a track is scored from its items: by the mean of their log odds, or (the study's) by
    # the log odds of the mean of their probabilities.
    "pooling": "mean-logit",
}
POOLINGS = ("mean-logit", "mean-probability")


def plan_of(network: Network, config: TrainingConfig, n_items: int = 0) -> Plan:
    """Fill the network's defaults into `config`, for an epoch of `n_items`.

    Raises
    ------
    ParameterError : for an option the network does not have, or a value out of range.
    """
    defaults = network.defaults
    options: dict[str, Option] = {"patience": defaults.patience}
    options.update(COMMON_OPTIONS)
    options.update(defaults.options)
    for name, value in config.options:
        if name not in options:
            raise ParameterError(
                f"network {network.name!r} has no option {name!r}; known: {sorted(options)}"
            )
        options[name] = value
    plan = Plan(
        epochs=config.epochs or defaults.epochs,
        batch_size=config.batch_size or _default_batch_size(defaults, n_items),
        learning_rate=config.learning_rate or defaults.learning_rate,
        patience=int(options.pop("patience")),
        seed=config.seed,
        options=options,
    )
    for name in ("epochs", "batch_size", "learning_rate", "patience"):
        if getattr(plan, name) <= 0:
            raise ParameterError(f"{name} is {getattr(plan, name)}; it must be above 0")
    require_choice("pooling", str(plan.options["pooling"]), POOLINGS)
    return plan


def _default_batch_size(defaults: Defaults, n_items: int) -> int:
    if defaults.most_steps == 0:
        return defaults.batch_size
    return max(defaults.batch_size, -(-n_items // defaults.most_steps))


class Inputs(Protocol):
    """The scaled items of some tracks, drawn and gathered in batches."""

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item: (d,) for summaries, (frames, coefficients) for windows."""

    def draw(self, tracks: IndexArray, rng: np.random.Generator) -> IndexArray:
        """Return the items of one epoch, (m, 2) of (track, item), in the order to learn."""

    def fixed(self, tracks: IndexArray) -> IndexArray:
        """Return the items by which `tracks` are scored, (m, 2), grouped by track."""

    def gather(self, items: IndexArray) -> FloatArray:
        """Return float32 (m, *item_shape), scaled."""


@dataclass(frozen=True)
class FitData:
    """What a network learns from.

    Attributes
    ----------
    inputs : the items.
    targets : float32 (n_tracks, n_labels), 1 where the label was given.
    weights : float32, same shape, of each element in the loss; 0 where nothing was judged.
    mask : bool, same shape: the elements that count; the loss is a mean over these.
    training, validation : rows learnt from, and rows that decide when to stop (may be empty).
    output_bias : float32 (n_labels,), the log odds of each label in `training`.
    """

    inputs: Inputs
    targets: FloatArray
    weights: FloatArray
    mask: npt.NDArray[np.bool_]
    training: IndexArray
    validation: IndexArray
    output_bias: FloatArray

    @property
    def n_labels(self) -> int:
        """Number of labels (columns)."""
        return int(self.targets.shape[1])


@dataclass(frozen=True)
class EpochReport:
    """One epoch, as the progress of a job and the curves of a report show it.

    `epoch` counts from 1 to at most `epochs`, over all parts of the training (`stage` names
    the part); losses, weighted as the training is, and binary accuracies (at 0.5) are means
    over judged elements. `loss` and `binary_accuracy` are running means over the batches of
    the epoch, with dropout, as Keras shows them. NaN where there was nothing to score, and in
    the reports of models that are older than a figure. `start` counts, while they train, the
    networks that are fitted from different starts (`ml.networks.members`).
    """

    epoch: int
    epochs: int
    loss: float
    validation_loss: float
    validation_macro_ap: float
    seconds: float
    stage: str = "fit"
    binary_accuracy: float = math.nan
    validation_binary_accuracy: float = math.nan
    start: int = 1


OnEpoch = Callable[[EpochReport], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True)
class Watch:
    """Who looks on: reports go to `on_epoch`; `should_stop` is polled.

    `first_epoch`, `epochs` and `stage` place one fit among the several of a training.
    """

    on_epoch: OnEpoch | None = None
    should_stop: ShouldStop | None = None
    first_epoch: int = 0
    epochs: int = 0
    stage: str = "fit"
    #: Keep the weights of every epoch (small networks), so that one may be chosen later.
    keeps_every_epoch: bool = False

    def check(self) -> None:
        """Raise CancelledError if the caller asked to stop."""
        if self.should_stop is not None and self.should_stop():
            raise CancelledError("training was cancelled; no model was kept")


class ByEpoch(Protocol):
    """Weights after each epoch, from 0."""

    def __len__(self) -> int: ...

    def __getitem__(self, epoch: int, /) -> Weights: ...


@dataclass(frozen=True)
class Fitted:
    """A network after training.

    Attributes
    ----------
    predictor : scores items.
    history : one report an epoch.
    best_epoch : the epoch, from 1, whose weights these are.
    by_epoch : weights after each epoch, where the Watch asked for them, else empty.
    """

    predictor: Predictor
    history: tuple[EpochReport, ...]
    best_epoch: int
    by_epoch: ByEpoch = ()


class Predictor(Protocol):
    """A network with weights in it."""

    def logits(self, items: FloatArray) -> FloatArray:
        """Return float32 (m, n_labels), raw log odds, of scaled items (m, *item_shape)."""

    def weights(self) -> Weights:
        """Return all weights by name, so that `Network.restore` rebuilds this predictor."""


class Network(Protocol):
    """A kind of network: stateless, one instance a process."""

    name: str
    needs: Needs
    #: The feature configuration it is made for; "" takes the library's own.
    features: str
    defaults: Defaults
    #: True where a fit takes seconds, so that calibration may cross-fit five of them.
    is_cheap: bool

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Learn; raises NetworkDivergedError or CancelledError."""

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild a predictor from its weights; raises ParameterError if they do not fit."""


def batches(items: IndexArray, batch_size: int) -> Iterator[IndexArray]:
    """Cut items into consecutive batches; the last may be shorter."""
    for start in range(0, len(items), batch_size):
        yield items[start : start + batch_size]
