"""Nearest neighbours on timbral statistics: a track gets the labels of similar tracks.

A classical reference [1]_, by the Euclidean distance between standardised means and deviations
of the timbral values of tracks. The `neighbours` nearest tracks that were judged for a label
vote on it, weighted by 1 / distance and by the weight of the element in the loss. The weights
of this network are the tracks that it learnt from.

.. [1] Tzanetakis, G., Cook, P.: Musical genre classification of audio signals. IEEE Trans.
   SAP 10(5), 2002.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.networks.base import Defaults, FitData, Fitted, Needs, Plan, Predictor, Watch, Weights
from ml.networks.one_pass import clipped, finished, learnt_items, statistics_read
from ml.types import FloatArray, Indices

#: Smallest distance that counts: a neighbour at distance 0 must not count infinitely.
_NEAREST = 1e-3
#: Fewest neighbours that are examined before those not judged for a label are left out.
_REACH = 64


class NearestNeighbours:
    """Predictor by the tracks learnt from and their labels.

    Parameters
    ----------
    items : float32 (n, d), scaled.
    targets : float32 (n, n_labels), 1 where the label was given.
    elements : float32 (n, n_labels), weight of each element; 0 if not judged.
    plan : with the options `neighbours` and `pull`.
    """

    def __init__(
        self, items: FloatArray, targets: FloatArray, elements: FloatArray, plan: Plan
    ) -> None:
        self._items, self._targets, self._elements = items, targets, elements
        self._neighbours = plan.whole("neighbours")
        self._pull = np.float32(plan.number("pull"))
        given = (targets * elements).sum(axis=0, dtype=np.float64)
        judged = elements.sum(axis=0, dtype=np.float64)
        self._prior = ((given + 0.5) / (judged + 1)).astype(np.float32)
        self._norms = np.einsum("ij,ij->i", items, items)

    def weights(self) -> Weights:
        """Return the tracks learnt from, as arrays by name.

        Returns
        -------
        Weights : arrays by name.
        """
        return {"items": self._items, "targets": self._targets, "elements": self._elements}

    def logits(self, items: FloatArray) -> FloatArray:
        """Return the log odds of each label, limited to -30 .. 30.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """
        distances = self._distances(items[:, : self._items.shape[1]])
        reach = min(distances.shape[1], max(_REACH, 4 * self._neighbours))
        nearest = np.argpartition(distances, reach - 1, axis=1)[:, :reach]
        found = np.take_along_axis(distances, nearest, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, axis=1)
        found = np.take_along_axis(found, order, axis=1)
        columns = [
            self._share(label, distances, nearest, found)
            for label in range(self._targets.shape[1])
        ]
        share = np.clip(np.column_stack(columns), 1e-13, 1 - 1e-13)
        return clipped(np.log(share) - np.log1p(-share))

    def _distances(self, items: FloatArray) -> FloatArray:
        squares = np.einsum("ij,ij->i", items, items)[:, None] + self._norms
        squares -= 2 * (items @ self._items.T)
        return np.sqrt(np.maximum(squares, 0))

    def _share(
        self, label: int, distances: FloatArray, nearest: Indices, found: FloatArray
    ) -> npt.NDArray[np.float64]:
        """Return the weighted share of the nearest judged tracks with the label, (m,)."""
        is_judged = self._elements[:, label] > 0
        wanted = min(self._neighbours, int(is_judged.sum()))
        if wanted == 0:
            return np.full(len(found), float(self._prior[label]))
        counts = is_judged[nearest]
        takes = counts & (np.cumsum(counts, axis=1) <= wanted)
        short = takes.sum(axis=1) < wanted
        shares = np.empty(len(found))
        shares[~short] = self._vote(label, nearest[~short], found[~short], takes[~short])
        if short.any():
            judged = np.flatnonzero(is_judged)
            far = distances[short][:, judged]
            chosen = np.argpartition(far, wanted - 1, axis=1)[:, :wanted]
            every = np.ones(chosen.shape, dtype=bool)
            at = np.take_along_axis(far, chosen, axis=1)
            shares[short] = self._vote(label, judged[chosen], at, every)
        return shares

    def _vote(
        self, label: int, tracks: Indices, at: FloatArray, takes: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return the share of the votes for a label, with `pull` further votes for its prior.

        Votes are 1 / distance in units of that of the farthest neighbour, so that the pull has
        the same effect for every track.
        """
        farthest = np.where(takes, at, 0).max(axis=1, initial=0)[:, None] + _NEAREST
        votes = np.where(takes, farthest / np.maximum(at, _NEAREST * farthest), 0.0)
        votes = votes * self._elements[tracks, label]
        yes = (votes * self._targets[tracks, label]).sum(axis=1)
        pull = float(self._pull)
        share: npt.NDArray[np.float64] = (yes + pull * self._prior[label]) / (
            votes.sum(axis=1) + pull
        )
        return share


class KnnNetwork:
    """Registered as `knn`."""

    name = "knn"
    needs: Needs = "summary"
    features = "timbral"
    defaults = Defaults(
        epochs=1,
        batch_size=256,
        learning_rate=1.0,
        patience=1,
        options={"neighbours": 5, "parts": 2, "pull": 1.0},
    )
    is_cheap = True

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Store the tracks to learn from; as `ml.networks.base.Network.fit`."""
        started = time.perf_counter()
        watch.check()
        if plan.whole("neighbours") < 1:
            raise ParameterError(f"neighbours is {plan.whole('neighbours')}; it must be >= 1")
        n_read = statistics_read(data.inputs.item_shape[0], plan.whole("parts"))
        rows = data.training
        found = NearestNeighbours(
            learnt_items(data, n_read), data.targets[rows], data.weights[rows], plan
        )
        return finished(found, data, plan, watch, started)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild from the tracks; as `ml.networks.base.Network.restore`."""
        n_read = statistics_read(item_shape[0], plan.whole("parts"))
        n = len(weights.get("items", ()))
        wanted = {"items": (n, n_read), "targets": (n, n_labels), "elements": (n, n_labels)}
        for name, shape in wanted.items():
            if name not in weights or weights[name].shape != shape or not n:
                raise ParameterError(
                    f"the weights do not fit {self.name!r}: {name} is missing or has another "
                    "shape; restore them with the options they were trained with"
                )
        return NearestNeighbours(
            weights["items"], weights["targets"], weights["elements"], plan
        )


NETWORK = KnnNetwork()
