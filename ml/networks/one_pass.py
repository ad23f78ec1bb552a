"""What the classical methods share: which statistics they read, and a fit of one pass.

They read the summary of a track (`ml.features.summaries`): of its parts the means and the
deviations of the frames' values, as Tzanetakis & Cook did, or more of them. Numpy only.
"""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.summaries import summary_size
from ml.networks.base import EpochReport, FitData, Fitted, FloatArray, Plan, Predictor, Watch
from ml.networks.inputs import DrawnByLabel
from ml.networks.loop import validate

#: One value for `log(0)`: e^-30 is below any share that tracks can show.
LARGEST_LOGIT = 30.0


def statistics_read(n_values: int, parts: int) -> int:
    """Return how many leading values of a summary of `n_values` are read.

    `parts` counts the statistics (1 mean, 2 deviation, 3 movement) of the c values of a frame;
    0, and a vector that is no summary of `ml.features.summaries`, mean all of it.

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
    """Return the scaled statistics of the tracks to learn from, float32 (n, n_read).

    Raises
    ------
    ParameterError : tracks are to be drawn by label; a fit of one pass reads each once.
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
    """Return what was fitted in one pass since `started`, with its one report."""
    held_out = validate(predictor, data, plan, watch)
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
    """Return float32 log odds within -30 .. 30."""
    return np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float32)
