"""Gaussian mixtures on timbral statistics: two for each label, with it and without it.

A classical reference [1]_. For each label one mixture of Gaussians with diagonal covariances is
fitted to the tracks with the label, and one to the tracks judged not to have it. The logit is
the difference of the two log likelihoods plus the log odds of the label. Only tracks that were
judged for the label take part, each with the weight of its element in the loss.

K-means (scikit-learn, imported only for a fit) gives the first components; expectation
maximisation with weighted tracks does the rest. A variance is shrunk towards 1, that of all
tracks after scaling, as if `shrinkage` further tracks had it: five tracks are too few to
estimate a covariance. The mixtures treat the d values of a track as independent though they are
correlated, so the log ratio is divided by sqrt(d); the calibration corrects the rest.

`sklearn.mixture.GaussianMixture` is not used: it knows neither weights of tracks nor shrinkage
towards a variance, so the results would differ.

.. [1] Tzanetakis, G., Cook, P.: Musical genre classification of audio signals. IEEE Trans.
   SAP 10(5), 2002.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.networks.base import Defaults, FitData, Fitted, Needs, Plan, Predictor, Watch, Weights
from ml.networks.one_pass import clipped, finished, learnt_items, statistics_read
from ml.types import Doubles, FloatArray

_MOST_ITERATIONS = 100
_ENOUGH = 1e-4
#: Tracks that a component needs; with fewer tracks there are fewer components.
_TRACKS_A_COMPONENT = 10


@dataclass(frozen=True)
class Mixture:
    """A mixture of k Gaussians with diagonal covariances.

    Attributes
    ----------
    shares : float64 (k,), sum 1.
    means, variances : float64 (k, d).
    """

    shares: Doubles
    means: Doubles
    variances: Doubles

    def joint(self, items: npt.NDArray[np.floating]) -> Doubles:
        """Return the log of share times density, for each component.

        Parameters
        ----------
        items : float (n, d).

        Returns
        -------
        Doubles : float64 (n, k), in nats.
        """
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
        """Return the log density of each item.

        Parameters
        ----------
        items : float (n, d).

        Returns
        -------
        Doubles : float64 (n,), in nats.

        Examples
        --------
        >>> normal = Mixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)))
        >>> normal.log_density(np.zeros((1, 1))).round(4).tolist()
        [-0.9189]
        """
        density: Doubles = np.logaddexp.reduce(self.joint(items), axis=1)
        return density


def fit_mixture(
    items: Doubles, weights: Doubles, components: int, shrinkage: float, seed: int
) -> Mixture:
    """Fit a mixture of diagonal Gaussians to weighted items, by expectation maximisation.

    Parameters
    ----------
    items : float64 (n, d), n >= 1. weights : float64 (n,), > 0.
    components : the most; fewer if there are less than 10 items for each.
    shrinkage : items of mean weight that count as having variance 1, > 0.
    seed : of k-means, which gives the first components.

    Returns
    -------
    Mixture : of at least one component.
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
    """Return the first component of each item, (n, k) of 0 and 1."""
    if k == 1:
        return np.ones((len(items), 1))
    from sklearn.cluster import KMeans

    means = KMeans(k, n_init=3, random_state=seed % 2**32)
    return np.eye(k)[means.fit_predict(items, sample_weight=weights)]


def _maximise(items: Doubles, shares: Doubles, shrinkage: float) -> Mixture:
    """Return the components of highest likelihood for the items' shares (n, k) in them."""
    sizes = shares.sum(axis=0)
    held = np.maximum(sizes, 1e-9)[:, None]
    means = shares.T @ items / held
    variances = np.maximum(shares.T @ np.square(items) / held - np.square(means), 0)
    variances = (sizes[:, None] * variances + shrinkage) / (sizes[:, None] + shrinkage)
    return Mixture(sizes / sizes.sum(), means, np.maximum(variances, 1e-6))


class MixturePairs:
    """Predictor by a pair of mixtures for each label, with it and without it.

    Parameters
    ----------
    weights : the components of all mixtures in common arrays. `owner` gives the mixture of
        each component: 2 x label for tracks with the label, 2 x label + 1 for the others.
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        owner = weights["owner"].astype(int)
        self._parts = [
            Mixture(*(weights[name][owner == n].astype(float) for name in _PARTS))
            for n in range(2 * len(weights["log_odds"]))
        ]

    def weights(self) -> Weights:
        """Return the components of all mixtures, as arrays by name.

        Returns
        -------
        Weights : arrays by name.
        """
        return dict(self._weights)

    def logits(self, items: FloatArray) -> FloatArray:
        """Return the log odds of each label, limited to -30 .. 30.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """
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
        """Fit two mixtures for each label; as `ml.networks.base.Network.fit`."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        started = time.perf_counter()
        _check(plan)
        n_read = statistics_read(data.inputs.item_shape[0], plan.whole("parts"))
        items = learnt_items(data, n_read).astype(float)
        targets = data.targets[data.training] > 0.5
        elements = data.weights[data.training].astype(float)
        mixtures = []
        # The matrices are small: on busy cores several threads wait for each other.
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
        """Rebuild from arrays; as `ml.networks.base.Network.restore`."""
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
                raise ParameterError(
                    f"the weights do not fit {self.name!r}: {name} is missing or has another "
                    "shape; restore them with the options they were trained with"
                )
        return MixturePairs({name: weights[name] for name in wanted})


def _check(plan: Plan) -> None:
    if plan.whole("components") < 1 or plan.number("shrinkage") <= 0:
        raise ParameterError("components must be at least 1 and shrinkage above 0")


def _of_judged(
    items: Doubles, side: npt.NDArray[np.bool_], elements: Doubles, plan: Plan
) -> Mixture:
    """Fit the mixture of the judged tracks in `side`; empty if there are none."""
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
    """Return the weighted log odds of each label, (n_labels,); always finite."""
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
