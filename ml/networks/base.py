"""Contract between a training and its network: what each gives the other. Numpy only.

A network learns from *items*: the summary vector of a track, or one of its windows. It never
sees files, masks or calibration: `ml.training.fit` turns masks and class weights into one array
of element weights, scales the inputs, and calibrates the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import CancelledError, ParameterError
from ml.types import FloatArray, Indices, TrainingConfig, require_choice

Option = float | str | bool
Weights = dict[str, npt.NDArray[np.float32]]

#: What an item is: a track's summary vector, or one of its windows.
Needs = Literal["summary", "windows"]


@dataclass(frozen=True)
class Defaults:
    """Defaults of a network, for what the TrainingConfig leaves open.

    Attributes
    ----------
    epochs, batch_size, learning_rate : as in `TrainingConfig`; batch_size counts items.
    patience : epochs without a better validation loss after which training stops, >= 1.
    most_steps : largest number of batches in an epoch. Batches grow with the data to stay below
        it, unless the TrainingConfig sets the batch size. 0 means no limit.
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
    """A TrainingConfig with the network's defaults filled in.

    Attributes
    ----------
    epochs, batch_size, patience : whole numbers > 0; batch_size counts items.
    learning_rate : > 0.
    seed : of the first weights, the order of the batches and the dropout.
    options : the network's parameters by name, `COMMON_OPTIONS` included.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    seed: int
    options: Mapping[str, Option]

    def number(self, name: str) -> float:
        """Return a numeric option.

        Parameters
        ----------
        name : of the option.

        Returns
        -------
        float : its value.
        """
        return float(self.options[name])

    def whole(self, name: str) -> int:
        """Return an option as a whole number.

        Parameters
        ----------
        name : of the option.

        Returns
        -------
        int : its value, without what follows the decimal point.
        """
        return int(self.options[name])


#: Options that every network understands, because `ml.training.fit` reads them.
COMMON_OPTIONS: dict[str, Option] = {
    # "standardise" per coefficient, "min-max" over all of them (as in the study), or "none".
    "scaling": "standardise",
    # Windows drawn from each track in every epoch, and evenly spaced windows by which a track
    # is scored; 0 means all. Networks that need summaries ignore both.
    "train_windows": 4,
    "predict_windows": 8,
    # How the scores of a track's items become one: "mean-logit" is the mean of their log odds,
    # "mean-probability" (as in the study) the log odds of the mean of their probabilities.
    "pooling": "mean-logit",
}
POOLINGS = ("mean-logit", "mean-probability")


def plan_of(network: Network, config: TrainingConfig, n_items: int = 0) -> Plan:
    """Fill the network's defaults into a config.

    Parameters
    ----------
    network : the network that `config` names.
    config : what was asked for; 0 means the network's default.
    n_items : tracks to learn from, by which the default batch size grows.

    Returns
    -------
    Plan : with every option of the network.

    Raises
    ------
    ParameterError : the network does not have an option, or a value is out of range.
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
    """Scaled items of some tracks, drawn and gathered in batches."""

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item: (d,) for summaries, (frames, coefficients) for windows.

        Returns
        -------
        tuple of int : without the axis of the items.
        """

    def draw(self, tracks: Indices, rng: np.random.Generator) -> Indices:
        """Draw the items of one epoch.

        Parameters
        ----------
        tracks : int (n,), rows to draw from. rng : source of the draw.

        Returns
        -------
        Indices : int (m, 2) of (track, item), in the order in which they are learnt.
        """

    def fixed(self, tracks: Indices) -> Indices:
        """List the items by which tracks are scored.

        Parameters
        ----------
        tracks : int (n,), rows to score.

        Returns
        -------
        Indices : int (m, 2) of (track, item), grouped by track in the order of `tracks`.
        """

    def gather(self, items: Indices) -> FloatArray:
        """Read and scale items.

        Parameters
        ----------
        items : int (m, 2) of (track, item).

        Returns
        -------
        FloatArray : float32 (m, *item_shape).
        """


@dataclass(frozen=True)
class FitData:
    """Material of one fit: items, targets and how much each element counts.

    Attributes
    ----------
    inputs : the items.
    targets : float32 (n_tracks, n_labels), 1 where the label was given; in between where
        annotators disagree.
    weights : float32 (n_tracks, n_labels), of each element in the loss; 0 if not judged.
    mask : bool (n_tracks, n_labels), True where an element was judged; the loss is a mean over
        these.
    training, validation : int (m,), rows to learn from, and rows that decide when to stop (may
        be empty).
    output_bias : float32 (n_labels,), the log odds of each label in `training`, or 0.
    """

    inputs: Inputs
    targets: FloatArray
    weights: FloatArray
    mask: npt.NDArray[np.bool_]
    training: Indices
    validation: Indices
    output_bias: FloatArray

    @property
    def n_labels(self) -> int:
        """Number of labels (columns)."""
        return int(self.targets.shape[1])


@dataclass(frozen=True)
class EpochReport:
    """Metrics of one epoch, for the progress of a job and the learning curves of a report.

    A metric is NaN if there was nothing to score, or if the model is older than the metric.

    Attributes
    ----------
    epoch, epochs : epoch from 1, and the most there can be, over all fits of the training.
    loss, validation_loss : weighted BCE in nats, mean over judged elements. `loss` is a running
        mean over the batches, with dropout, as Keras shows it.
    validation_macro_ap : mean average precision over labels.
    seconds : duration of the epoch, in seconds.
    stage : name of the fit that the epoch is part of.
    binary_accuracy, validation_binary_accuracy : share of judged elements on the right side
        of 0.5; the first is a running mean like `loss`.
    start : number from 1 of the network in an ensemble (`ml.networks.members`).
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
    """Callbacks of a fit, and its place among the fits of a training.

    Attributes
    ----------
    on_epoch : called with a report after every epoch.
    should_stop : polled every few batches; True cancels the training.
    first_epoch : epochs of the fits before this one.
    epochs : the most epochs of all fits together; 0 means those of this fit.
    stage : name of this fit in the reports.
    keeps_every_epoch : whether the weights after every epoch are kept, for a later choice;
        meant for small networks.
    """

    on_epoch: OnEpoch | None = None
    should_stop: ShouldStop | None = None
    first_epoch: int = 0
    epochs: int = 0
    stage: str = "fit"
    keeps_every_epoch: bool = False

    def check(self) -> None:
        """Stop if the caller asked for it.

        Raises
        ------
        CancelledError : `should_stop` returned True.
        """
        if self.should_stop is not None and self.should_stop():
            raise CancelledError("training was cancelled; no model was kept")


class ByEpoch(Protocol):
    """Weights after each epoch."""

    def __len__(self) -> int:
        """Return the number of epochs."""

    def __getitem__(self, epoch: int, /) -> Weights:
        """Return the weights after an epoch, counted from 0."""


@dataclass(frozen=True)
class Fitted:
    """A network after training.

    Attributes
    ----------
    predictor : scores items.
    history : one report an epoch.
    best_epoch : the epoch, from 1, whose weights `predictor` has.
    by_epoch : weights after each epoch if the Watch asked for them, else empty.
    """

    predictor: Predictor
    history: tuple[EpochReport, ...]
    best_epoch: int
    by_epoch: ByEpoch = ()


class Predictor(Protocol):
    """A network with its weights."""

    def logits(self, items: FloatArray) -> FloatArray:
        """Score scaled items.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """

    def weights(self) -> Weights:
        """Return all weights by name; `Network.restore` rebuilds the predictor from them.

        Returns
        -------
        Weights : float32 arrays by name.
        """


class Network(Protocol):
    """A kind of network: stateless, one instance a process.

    Attributes
    ----------
    name : key in the registry.
    needs : what an item is.
    features : name of the feature configuration it is made for; "" means the library's.
    defaults : for what the TrainingConfig leaves open.
    is_cheap : whether a fit takes seconds, so that five can be cross-fitted.
    """

    name: str
    needs: Needs
    features: str
    defaults: Defaults
    is_cheap: bool

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit the network.

        Parameters
        ----------
        data : what to learn from. plan : how. watch : callbacks.

        Returns
        -------
        Fitted : with the weights of the best epoch.

        Raises
        ------
        NetworkDivergedError : a loss or an output became NaN or infinite.
        CancelledError : `watch.should_stop` returned True.
        """

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild a predictor from its weights.

        Parameters
        ----------
        plan : of the training. item_shape : shape of one item.
        n_labels : number of outputs. weights : as `Predictor.weights` returned them.

        Returns
        -------
        Predictor : with these weights.

        Raises
        ------
        ParameterError : a name or a shape does not fit the network.
        """


def item_batches(items: Indices, batch_size: int) -> Iterator[Indices]:
    """Split items into consecutive batches.

    Parameters
    ----------
    items : int (m, 2), or any array with items along its first axis.
    batch_size : items of a batch, >= 1.

    Yields
    ------
    Indices : at most `batch_size` items; the last batch may be shorter.

    Examples
    --------
    >>> [part.tolist() for part in item_batches(np.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    """
    for start in range(0, len(items), batch_size):
        yield items[start : start + batch_size]
