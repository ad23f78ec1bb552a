"""Gaussian mixtures on timbral statistics: one of the tracks with a label, one of the rest.

The classical reference [1]_: for each label a mixture of Gaussians with diagonal covariances
is fitted to the tracks that have it and one to those that were judged and have it not; the
logit is the ratio of the two log likelihoods plus the log odds of the label. Only tracks that
were judged for a label take part in it, each with the weight of its element in the loss.

K-means (scikit-learn, imported only when something is learnt) gives the first components,
expectation and maximisation with weighted tracks the rest. A variance is drawn to 1, that of
all tracks after scaling, as if `shrinkage` further tracks showed it: a label with five tracks
has no covariance of its own. The d values of a track hang together while the mixtures take them
for independent, so their log ratio counts for sqrt(d) values; the calibration does the rest.

.. [1] Tzanetakis, G., Cook, P.: Musical genre classification of audio signals. IEEE Trans.
   SAP 10(5), 2002.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.networks.base import (
    Defaults,
    FitData,
    Fitted,
    FloatArray,
    Needs,
    Plan,
    Predictor,
    Watch,
    Weights,
)
from ml.networks.one_pass import clipped, finished, learnt_items, statistics_read

Doubles = npt.NDArray[np.float64]

_MOST_ITERATIONS = 100
_ENOUGH = 1e-4
#: Tracks that a component needs: fewer tracks get fewer components.
_TRACKS_A_COMPONENT = 10


@dataclass(frozen=True)
class Mixture:
    """shares (k,), means (k, d) and variances (k, d) of the components."""

    shares: Doubles
    means: Doubles
    variances: Doubles

    def joint(self, items: npt.NDArray[np.floating]) -> Doubles:
        """Return the log density of each component times its share, (n, k)."""
        precisions = 1 / self.variances
        squares = (
            np.square(items) @ precisions.T
            - 2 * items @ (self.means * precisions).T
            + np.sum(np.square(self.means) * precisions, axis=1)
        )
        scale = np.log(2 * np.pi * self.variances).sum(axis=1)
        with np.errstate(divide="ignore"):
            joint: Doubles = np.log(self.shares) - 0.5 * (scale + squares)
        return joint

    def log_density(self, items: npt.NDArray[np.floating]) -> Doubles:
        """Return the log density of each item, (n,)."""
        density: Doubles = np.logaddexp.reduce(self.joint(items), axis=1)
        return density


def fit_mixture(
    items: Doubles, weights: Doubles, components: int, shrinkage: float, seed: int
) -> Mixture:
    """Fit a mixture of diagonal Gaussians to weighted items (n, d), n >= 1.

    `weights` (n,) are above 0; `shrinkage` is in units of their mean.
    """
    k = max(1, min(components, len(items) // _TRACKS_A_COMPONENT))
    weights = weights / weights.mean()
    shares = _first_shares(items, weights, k, seed)
    mixture = _maximise(items, weights[:, None] * shares, shrinkage)
    before = -np.inf
    for _ in range(_MOST_ITERATIONS if k > 1 else 0):
        joint = mixture.joint(items)
        density = np.logaddexp.reduce(joint, axis=1)
        after = float(weights @ density) / len(items)
        if after - before < _ENOUGH:
            break
        before = after
        shares = np.exp(joint - density[:, None])
        mixture = _maximise(items, weights[:, None] * shares, shrinkage)
    return mixture


def _first_shares(items: Doubles, weights: Doubles, k: int, seed: int) -> Doubles:
    """Return which component each item belongs to at first, (n, k) of 0 and 1."""
    if k == 1:
        return np.ones((len(items), 1))
    from sklearn.cluster import KMeans

    means = KMeans(k, n_init=3, random_state=seed % 2**32)
    return np.eye(k)[means.fit_predict(items, sample_weight=weights)]


def _maximise(items: Doubles, shares: Doubles, shrinkage: float) -> Mixture:
    """Return the components that fit best where `shares` (n, k) of the items are theirs."""
    sizes = shares.sum(axis=0)
    held = np.maximum(sizes, 1e-9)[:, None]
    means = shares.T @ items / held
    variances = np.maximum(shares.T @ np.square(items) / held - np.square(means), 0)
    variances = (sizes[:, None] * variances + shrinkage) / (sizes[:, None] + shrinkage)
    return Mixture(sizes / sizes.sum(), means, np.maximum(variances, 1e-6))


class MixturePairs:
    """A pair of mixtures for each label, with it and without it.

    All components of all mixtures stand in common arrays: `owner` tells the mixture of each,
    2 x label for the one with the label, and 2 x label + 1 for the one without.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        owner = weights["owner"].astype(int)
        self._parts = [
            Mixture(*(weights[name][owner == n].astype(float) for name in _PARTS))
            for n in range(2 * len(weights["log_odds"]))
        ]

    def weights(self) -> Weights:
        """Return the arrays by name."""
        return dict(self._weights)

    def logits(self, items: FloatArray) -> FloatArray:
        """Return float32 (m, n_labels) of scaled summaries (m, at least d)."""
        read = items[:, : self._weights["means"].shape[1]].astype(float)
        odds = self._weights["log_odds"].astype(float)
        tempered = 1 / np.sqrt(read.shape[1])
        columns = []
        for label, prior in enumerate(odds):
            pair = self._parts[2 * label : 2 * label + 2]
            ratio = np.zeros(len(read))
            if all(len(mixture.shares) for mixture in pair):
                ratio = pair[0].log_density(read) - pair[1].log_density(read)
            columns.append(prior + tempered * ratio)
        return clipped(np.column_stack(columns))


_PARTS = ("shares", "means", "variances")


class GmmNetwork:
    """Registered as `gmm`."""

    name = "gmm"
    needs: Needs = "summary"
    features = "timbral"
    defaults = Defaults(
        epochs=1,
        batch_size=256,
        learning_rate=1.0,
        patience=1,
        options={"components": 3, "parts": 2, "shrinkage": 5.0},
    )
    is_cheap = True

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit two mixtures a label."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        started = time.perf_counter()
        _check(plan)
        n_read = statistics_read(data.inputs.item_shape[0], plan.whole("parts"))
        items = learnt_items(data, n_read).astype(float)
        targets = data.targets[data.training] > 0
        elements = data.weights[data.training].astype(float)
        mixtures = []
        # The matrices are small: on busy cores several threads would wait for each other.
        with threadpool_limits(limits=1):
            for label in range(data.n_labels):
                for side in (targets[:, label], ~targets[:, label]):
                    watch.check()
                    mixtures.append(_of_judged(items, side, elements[:, label], plan))
        predictor = MixturePairs(_packed(mixtures, n_read, _log_odds(targets, elements)))
        return finished(predictor, data, plan, watch, started)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild from arrays; raises ParameterError if their shapes do not fit."""
        n_read = statistics_read(item_shape[0], plan.whole("parts"))
        n = len(weights.get("owner", ()))
        wanted = {
            "owner": (n,),
            "shares": (n,),
            "means": (n, n_read),
            "variances": (n, n_read),
            "log_odds": (n_labels,),
        }
        for name, shape in wanted.items():
            if name not in weights or weights[name].shape != shape:
                raise ParameterError(f"the weights do not fit {self.name!r}: {name}")
        return MixturePairs({name: weights[name] for name in wanted})


def _check(plan: Plan) -> None:
    if plan.whole("components") < 1 or plan.number("shrinkage") <= 0:
        raise ParameterError("components must be at least 1 and shrinkage above 0")


def _of_judged(
    items: Doubles, side: npt.NDArray[np.bool_], elements: Doubles, plan: Plan
) -> Mixture:
    """Fit the mixture of one side of a label; empty where no judged track is on it."""
    rows = np.flatnonzero(side & (elements > 0))
    if not len(rows):
        nothing = np.zeros((0, items.shape[1]))
        return Mixture(np.zeros(0), nothing, nothing)
    return fit_mixture(
        items[rows],
        elements[rows],
        plan.whole("components"),
        plan.number("shrinkage"),
        plan.seed,
    )


def _log_odds(targets: npt.NDArray[np.bool_], elements: Doubles) -> Doubles:
    """Return the weighted log odds of each label, (n_labels,); finite where it is one-sided."""
    given = (elements * targets).sum(axis=0) + 0.5
    against = (elements * ~targets).sum(axis=0) + 0.5
    odds: Doubles = np.log(given / against)
    return odds


def _packed(mixtures: list[Mixture], n_read: int, log_odds: Doubles) -> Weights:
    owner = np.repeat(np.arange(len(mixtures)), [len(mixture.shares) for mixture in mixtures])
    arrays = {
        "owner": owner,
        "shares": np.concatenate([mixture.shares for mixture in mixtures]),
        "means": np.concatenate([mixture.means for mixture in mixtures]).reshape(-1, n_read),
        "variances": np.concatenate([m.variances for m in mixtures]).reshape(-1, n_read),
        "log_odds": log_odds,
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()}


NETWORK = GmmNetwork()
