"""Shared parts of the classical methods: the statistics they read, and the report of a fit.

They read parts of the summary of a track (`ml.features.summaries`): the means and the
deviations of the frames' values, as Tzanetakis & Cook did, or more. They are fitted in one
pass over the tracks. Numpy only.
"""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.summaries import summary_size
from ml.networks.base import EpochReport, FitData, Fitted, Plan, Predictor, Watch
from ml.networks.inputs import DrawnByLabel
from ml.networks.loop import validation_metrics
from ml.types import FloatArray

#: Replaces an infinite log odds: e^-30 is below any share that tracks can show.
LARGEST_LOGIT = 30.0


def statistics_read(n_values: int, parts: int) -> int:
    """Return how many leading values of a summary are read.

    Parameters
    ----------
    n_values : length of the summary.
    parts : statistics to read, in this order: mean, deviation, movement. 0 means all.

    Returns
    -------
    int : all values if the vector is not a summary of `ml.features.summaries`.

    Examples
    --------
    >>> statistics_read(233, 2)
    26
    """
    for n_coefficients in range(1, n_values):
        if summary_size(n_coefficients) == n_values:
            return min(n_values, parts * n_coefficients or n_values)
        if summary_size(n_coefficients) > n_values:
            break
    return n_values


def learnt_items(data: FitData, n_read: int) -> FloatArray:
    """Return the scaled statistics of the tracks to learn from.

    Parameters
    ----------
    data : `training` names the rows. n_read : leading values of a summary to read.

    Returns
    -------
    FloatArray : float32 (n, n_read).

    Raises
    ------
    ParameterError : tracks are to be drawn by label; a fit in one pass reads each track once.
    """
    if isinstance(data.inputs, DrawnByLabel):
        raise ParameterError(
            "sampling is 'label-distribution', but this network reads every track once and "
            "draws none; take 'uniform'"
        )
    items = data.inputs.gather(data.inputs.fixed(data.training))
    return np.ascontiguousarray(items[:, :n_read])


def finished(
    predictor: Predictor, data: FitData, plan: Plan, watch: Watch, started: float
) -> Fitted:
    """Measure and report a fit of one pass.

    Parameters
    ----------
    predictor : as fitted. data : what it was fitted on. plan : how. watch : callbacks.
    started : `time.perf_counter()` at the begin of the fit, in seconds.

    Returns
    -------
    Fitted : with a history of one epoch.
    """
    held_out = validation_metrics(predictor, data, plan, watch)
    report = EpochReport(
        epoch=watch.first_epoch + 1,
        epochs=watch.epochs or plan.epochs,
        loss=math.nan,
        validation_loss=held_out.loss,
        validation_macro_ap=held_out.macro_ap,
        seconds=time.perf_counter() - started,
        stage=watch.stage,
        validation_binary_accuracy=held_out.binary_accuracy,
    )
    if watch.on_epoch is not None:
        watch.on_epoch(report)
    by_epoch = (predictor.weights(),) if watch.keeps_every_epoch else ()
    return Fitted(predictor, (report,), 1, by_epoch)


def clipped(logits: npt.NDArray[np.floating]) -> FloatArray:
    """Limit log odds to -30 .. 30.

    Parameters
    ----------
    logits : float array of any shape.

    Returns
    -------
    FloatArray : float32, same shape.

    Examples
    --------
    >>> clipped(np.array([-np.inf, 2.0])).tolist()
    [-30.0, 2.0]
    """
    return np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float32)
