"""Compact form of an evaluation record, in which the study stores predictions. Numpy only.

Stage: study. Float32 outputs hardly compress, so log odds are stored as whole numbers of small
steps. Rounding alone would give several tracks the same output and so change average precision.
Therefore the order of the tracks under each label is kept, and so is the side of each threshold
on which they are: average precision and every metric of decisions stay exactly what they were.
The BCE skill changes by less than 0.0001, and lwlrap, which ranks the labels of a track, by
less than 0.005.

Values that follow from others are left out: probabilities that are not calibrated, a mask
without gaps, the parts of a record that has only one. No pickle is written or read.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.evaluation.record import (
    EvaluationRecord,
    LabelName,
    RecordFileError,
    checked_content,
)
from ml.metrics.calibration import sigmoid
from ml.types import Doubles, Floats, LabelMatrix

FORMAT = 1
#: Steps in one unit of log odds; no output moves by more than one. Where outputs lie closer
#: together, steps are smaller, down to the precision of float32.
STEPS = 256
_MOST_STEPS = 1 << 24
#: Log odds beyond this, such as those of a probability of exactly 0, are set to it.
_LARGEST = 2.0**20
#: The last bits of a number are noise and the others repeat, so they compress better apart.
_LOW_BITS = 6
#: Digits of the training history, which is only drawn.
_HISTORY_DIGITS = 5
#: Probabilities this close to the sigmoid of the logits are not calibrated.
_SAME = 1e-6
_FACTS = "facts"
#: xz without a context of the bytes before: these are noise. A tenth smaller than deflate.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": lzma.PRESET_EXTREME | 9, "lc": 0, "pb": 0}]
#: What reading something else raises.
_DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    zipfile.BadZipFile,
    lzma.LZMAError,
)

Arrays = dict[str, npt.NDArray[Any]]
Integers = npt.NDArray[np.int64]


def to_bytes(record: EvaluationRecord) -> bytes:
    """Return the compact form of a record as the content of a file.

    Parameters
    ----------
    record : of any side.

    Returns
    -------
    bytes : content of an .npz.xz file.
    """
    arrays = {
        "labels": record.reference.labels.T,
        "thresholds": record.thresholds,
        "prior": record.prior,
        **_outputs(record),
    }
    if not record.reference.label_mask.all():
        arrays["label_mask"] = record.reference.label_mask.T
    facts = {
        "format": FORMAT,
        "track_uids": [uid.decode() for uid in record.track_uids.tolist()],
        "groups": record.groups.tolist(),
        "labels": [[label.uid, label.name, label.facet] for label in record.labels],
        "side": record.side,
        "judged_by": record.judged_by,
        "history": _shortened(list(record.history)),
        "about": record.about,
    }
    if record.part_of.any():
        facts["part_of"] = record.part_of.tolist()
    text = json.dumps(facts, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return npz_bytes({**arrays, _FACTS: np.frombuffer(text.encode(), dtype=np.uint8)})


def from_bytes(content: bytes) -> EvaluationRecord:
    """Rebuild a record.

    Parameters
    ----------
    content : of `to_bytes`.

    Returns
    -------
    EvaluationRecord : with rounded outputs and history.

    Raises
    ------
    RecordFileError : the content is not a compact record.
    """
    try:
        arrays = arrays_from_npz(content)
        facts = json.loads(arrays.pop(_FACTS).tobytes())
        if facts["format"] != FORMAT:
            raise ValueError(f"it has format {facts['format']}, this program reads {FORMAT}")
        return _rebuilt(arrays, facts)
    except _DAMAGED as error:
        raise RecordFileError(f"it is not a compact evaluation record: {error}") from error


def read_compact(path: Path, expected_sha256: str) -> EvaluationRecord:
    """Read a compact record; the checksum is compared before the content is parsed.

    Parameters
    ----------
    path : of the file. expected_sha256 : its checksum when it was written.

    Returns
    -------
    EvaluationRecord : with rounded outputs and history.

    Raises
    ------
    RecordFileError : the file is missing, has another checksum, or is not a compact record.
    """
    return from_bytes(checked_content(path, expected_sha256))


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Compress arrays.

    Parameters
    ----------
    arrays : by name, without objects.

    Returns
    -------
    bytes : content of an .npz.xz file.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return lzma.compress(buffer.getvalue(), filters=_FILTERS)


def arrays_from_npz(content: bytes) -> Arrays:
    """Return the arrays of `npz_bytes`.

    Parameters
    ----------
    content : of an .npz.xz file.

    Returns
    -------
    dict : arrays by name.

    Raises
    ------
    lzma.LZMAError, zipfile.BadZipFile, EOFError, ValueError : the content is another one.

    Examples
    --------
    >>> arrays_from_npz(npz_bytes({"numbers": np.arange(3)}))
    {'numbers': array([0, 1, 2])}
    """
    with np.load(io.BytesIO(lzma.decompress(content)), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def encode(name: str, values: Floats, steps: int, thresholds: Floats | None = None) -> Arrays:
    """Return values as whole numbers of steps, in arrays that compress well.

    Parameters
    ----------
    name : first part of the names of the arrays.
    values : (n, n_columns); NaN where unknown.
    steps : in one unit of the values.
    thresholds : (k, n_columns); None: every value is rounded, and order is not kept.

    Returns
    -------
    dict : arrays by name, for `decode`.
    """
    is_missing = np.isnan(values)
    of_column = np.full(values.shape[1], steps, dtype=np.int64)
    if thresholds is None:
        numbers = np.rint(np.where(is_missing, 0, values) * steps).astype(np.int64).T
    else:
        numbers = np.zeros(values.shape[::-1], dtype=np.int64)
        for column, row in enumerate(numbers):
            is_known = ~is_missing[:, column]
            of_column[column], row[is_known] = _near_steps(
                values[is_known, column], steps, np.sort(thresholds[:, column])
            )
    middle = np.zeros(len(numbers), dtype=np.int64)
    if len(values):
        middle = np.median(numbers, axis=1).astype(np.int64)
    numbers = numbers - middle[:, None]
    high = numbers >> _LOW_BITS
    arrays: Arrays = {
        f"{name}_grid": np.stack([of_column, middle]),
        f"{name}_low": (numbers & ((1 << _LOW_BITS) - 1)).astype(np.uint8),
        f"{name}_high": high.astype(_smallest_type(high)),
    }
    if is_missing.any():
        arrays[f"{name}_missing"] = is_missing.T
    return arrays


def decode(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Doubles:
    """Return the values of `encode`.

    Parameters
    ----------
    name : as given to `encode`. arrays : with those of `encode`.

    Returns
    -------
    float64 (n, n_columns) : NaN where unknown.

    Examples
    --------
    >>> decode("x", encode("x", np.array([[0.1, np.nan], [2.0, -3.0]]), 4))
    array([[ 0., nan],
           [ 2., -3.]])
    """
    steps, middle = arrays[f"{name}_grid"]
    high, low = (arrays[f"{name}_{part}"].astype(np.int64) for part in ("high", "low"))
    values = ((high << _LOW_BITS) + low + middle[:, None]).T / steps
    if f"{name}_missing" in arrays:
        values[arrays[f"{name}_missing"].T] = np.nan
    return np.asarray(values)


def whole_steps(values: Floats, steps: int, thresholds: Floats) -> Integers:
    """Return numbers of steps close to values, with the same order and the same decisions.

    Parameters
    ----------
    values : (n,), not NaN. steps : in one unit of the values. thresholds : (k,), ascending.

    Returns
    -------
    int64 (n,) : number / steps is at or above a threshold exactly if the value is, and two
        numbers compare as their values do. Both fail only between two thresholds that have
        fewer steps between them than distinct values.

    Examples
    --------
    >>> whole_steps(np.array([0.0, 0.1, 0.26, 1.0]), 4, np.array([0.2])).tolist()
    [-1, 0, 1, 4]
    """
    bounded = np.clip(values, -_LARGEST, _LARGEST)
    distinct, places = np.unique(bounded, return_inverse=True)
    order = np.arange(len(distinct))
    wanted = np.rint(distinct * steps).astype(np.int64) - order
    # Rising numbers from below and from above: midway between them no value moves far.
    rising = np.maximum.accumulate(wanted)
    falling = np.minimum.accumulate(wanted[::-1])[::-1]
    numbers = order + (rising + falling) // 2
    edges = np.clip(thresholds, -_LARGEST, _LARGEST)
    beyond = np.iinfo(np.int64).max // 4
    first_above = np.ceil(edges * steps).astype(np.int64)
    bounds = np.concatenate([[-beyond], first_above, [beyond]])
    between = np.searchsorted(edges, distinct, side="right")
    n_below = order - np.searchsorted(between, between, side="left")
    n_above = np.searchsorted(between, between, side="right") - 1 - order
    numbers = np.maximum(numbers, bounds[between] + n_below)
    numbers = np.minimum(numbers, bounds[between + 1] - 1 - n_above)
    return np.asarray(numbers[places], dtype=np.int64)


def _near_steps(values: Floats, steps: int, thresholds: Floats) -> tuple[int, Integers]:
    """Return (steps, numbers): at least `steps`, and so many that no value moves by one."""
    bounded = np.clip(values, -_LARGEST, _LARGEST)
    tried = steps
    while True:
        numbers = whole_steps(values, tried, thresholds)
        moved = np.abs(numbers / tried - bounded).max(initial=0.0)
        if moved * steps <= 1 or tried >= _MOST_STEPS:
            return tried, numbers
        tried *= 2


def _outputs(record: EvaluationRecord) -> Arrays:
    """Encode the logits, and the probabilities unless they follow from the logits."""
    half = np.zeros((1, record.thresholds.shape[1]))
    thresholds = np.vstack([half, _log_odds(record.thresholds)])
    logits = record.logits.astype(np.float64)
    follows = np.allclose(
        sigmoid(logits), record.probabilities, rtol=0, atol=_SAME, equal_nan=True
    )
    if follows:
        return encode("logits", logits, STEPS, thresholds)
    return {
        **encode("logits", logits, STEPS, half),
        **encode("calibrated", _log_odds(record.probabilities), STEPS, thresholds),
    }


def _rebuilt(arrays: Arrays, facts: dict[str, Any]) -> EvaluationRecord:
    labels = arrays["labels"].T
    mask = arrays["label_mask"].T if "label_mask" in arrays else np.ones_like(labels)
    logits = decode("logits", arrays).astype(np.float32)
    log_odds = decode("calibrated", arrays) if "calibrated_grid" in arrays else logits
    return EvaluationRecord(
        track_uids=np.array([uid.encode() for uid in facts["track_uids"]], dtype="S36"),
        groups=np.array(facts["groups"], dtype=np.int64),
        reference=LabelMatrix(np.ascontiguousarray(labels), np.ascontiguousarray(mask)),
        logits=logits,
        probabilities=sigmoid(log_odds).astype(np.float32),
        thresholds=arrays["thresholds"],
        prior=arrays["prior"],
        part_of=np.array(facts.get("part_of", [0] * len(labels)), dtype=np.intp),
        labels=tuple(LabelName(*values) for values in facts["labels"]),
        side=facts["side"],
        judged_by=facts["judged_by"],
        history=tuple(facts["history"]),
        about=facts["about"],
    )


def _log_odds(probabilities: Floats) -> Doubles:
    """Return log odds; those of exactly 0 and 1 are infinite."""
    wide = np.asarray(probabilities, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(wide) - np.log1p(-wide))


def _smallest_type(numbers: Integers) -> npt.DTypeLike:
    """Return the smallest type that holds all of these numbers."""
    return np.min_scalar_type(-int(np.abs(numbers).max(initial=0)) - 1)


def _shortened(value: Any) -> Any:
    """Return JSON values with every float rounded to `_HISTORY_DIGITS` digits."""
    if isinstance(value, float):
        return float(f"{value:.{_HISTORY_DIGITS}g}")
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    return value
