"""What one run said of the tracks it was not trained on, kept whole beside its model.

Stage: evaluation. Every figure of a report is computed from this record and from nothing else,
so that it can be computed again: by a test, by a later version, side by side with other runs.
Numpy only; nothing in the file is ever unpickled.

A record has one *part* for each model that made it: one for a run, K for K folds, where every
track was scored by the model that had not seen it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.constants import OTHERS
from ml.errors import MlError, ParameterError
from ml.files import atomic_write
from ml.metrics.calibration import sigmoid
from ml.metrics.ranking import Floats
from ml.types import LabelMatrix

FORMAT = 1
FILE_NAME = "evaluation.npz"
#: Which tracks a record is of: those kept apart to measure with, or every one, out of fold.
AUDIT, FOLDS = "audit", "folds"
SIDES = (AUDIT, FOLDS)
_UID = "S36"
_FACTS = "facts"


class RecordFileError(MlError):
    """A record's file is missing, damaged or not the one that was registered."""


@dataclass(frozen=True)
class LabelName:
    """What a column is called. A recipe's own label, such as Others, has a uid and no facet."""

    uid: str
    name: str
    facet: str = ""

    @property
    def is_made(self) -> bool:
        """Whether it was made of other labels: its uid does not say of which."""
        return not self.facet and self.name == OTHERS


@dataclass(frozen=True)
class Part:
    """One model of a record: `rows` are the tracks that it scored."""

    rows: npt.NDArray[np.intp]
    thresholds: Floats
    prior: Floats


@dataclass(frozen=True)
class StoredRecord:
    """What was written."""

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class EvaluationRecord:
    """Labels and scores of held-out tracks; rows are tracks, columns labels.

    Attributes
    ----------
    track_uids : bytes (n,), distinct.
    groups : int64 (n,), codes of the split groups.
    reference : what was judged, (n, n_labels).
    logits : float32 (n, n_labels), raw log odds before calibration; NaN where a track had
        nothing to be scored by.
    probabilities : float32 (n, n_labels), calibrated; NaN only where a training diverged.
    thresholds, prior : float64 (n_parts, n_labels): tuned cuts and label shares of the
        training side of each part.
    part_of : int (n,), which part scored the track.
    labels : the columns by uid, name and facet. side : one of `SIDES`.
    judged_by : whose answers the reference is, in words.
    history : one dict an epoch, as `EpochReport`, with `part` where there are several.
    about : what the run was trained on and with; any JSON.
    """

    track_uids: npt.NDArray[np.bytes_]
    groups: npt.NDArray[np.int64]
    reference: LabelMatrix
    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float64]
    prior: npt.NDArray[np.float64]
    part_of: npt.NDArray[np.intp]
    labels: tuple[LabelName, ...]
    side: str = AUDIT
    judged_by: str = ""
    history: tuple[dict[str, Any], ...] = ()
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.reference.labels.shape
        n_parts = len(self.thresholds)
        wanted = {
            "track_uids": (shape[0],),
            "groups": (shape[0],),
            "part_of": (shape[0],),
            "logits": shape,
            "probabilities": shape,
            "thresholds": (n_parts, shape[1]),
            "prior": (n_parts, shape[1]),
        }
        for name, expected in wanted.items():
            if getattr(self, name).shape != expected:
                found = getattr(self, name).shape
                raise ParameterError(f"{name} is {found}; it must be {expected}")
        if len(self.labels) != shape[1]:
            raise ParameterError(f"{len(self.labels)} label names for {shape[1]} columns")
        if self.side not in SIDES:
            raise ParameterError(f"side is {self.side!r}; it must be one of {', '.join(SIDES)}")
        if len(np.unique(self.track_uids)) != shape[0]:
            raise ParameterError("a track stands twice in the record")
        if shape[0] and not 0 <= self.part_of.min() <= self.part_of.max() < n_parts:
            raise ParameterError(f"part_of must lie in 0..{n_parts - 1}")

    @property
    def n_tracks(self) -> int:
        """Number of held-out tracks, judged or not."""
        return self.reference.n_tracks

    @property
    def n_parts(self) -> int:
        """Number of models that made the record."""
        return len(self.thresholds)

    @property
    def cuts(self) -> Floats:
        """Threshold of every cell, float64 (n, n_labels)."""
        return self.thresholds[self.part_of]

    @property
    def constant(self) -> Floats:
        """What the constant predictor says of every cell, float64 (n, n_labels)."""
        return self.prior[self.part_of]

    @property
    def raw(self) -> Floats:
        """Probabilities before calibration, float64; NaN where nothing was scored."""
        return sigmoid(self.logits)

    def parts(self) -> Iterator[Part]:
        """Yield the models that scored any track."""
        for number in range(self.n_parts):
            rows = np.flatnonzero(self.part_of == number)
            if len(rows) or self.n_parts == 1:
                yield Part(rows, self.thresholds[number], self.prior[number])

    def of_columns(self, columns: npt.NDArray[np.intp]) -> Self:
        """Return the record of some of its labels, in the order of `columns`."""
        return replace(
            self,
            reference=LabelMatrix(
                self.reference.labels[:, columns], self.reference.label_mask[:, columns]
            ),
            logits=self.logits[:, columns],
            probabilities=self.probabilities[:, columns],
            thresholds=self.thresholds[:, columns],
            prior=self.prior[:, columns],
            labels=tuple(self.labels[column] for column in columns.tolist()),
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "labels": [[label.uid, label.name, label.facet] for label in self.labels],
            "side": self.side,
            "judged_by": self.judged_by,
            "history": list(self.history),
            "about": self.about,
        }

    def to_bytes(self) -> bytes:
        """Return the record as the content of an .npz file."""
        text = json.dumps(self._facts(), sort_keys=True, allow_nan=False)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            track_uids=self.track_uids.astype(_UID),
            groups=self.groups,
            labels=self.reference.labels,
            label_mask=self.reference.label_mask,
            logits=self.logits,
            probabilities=self.probabilities,
            thresholds=self.thresholds,
            prior=self.prior,
            part_of=self.part_of.astype(np.int64),
            **{_FACTS: np.frombuffer(text.encode(), dtype=np.uint8)},
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Rebuild from `to_bytes`.

        Raises
        ------
        RecordFileError : it does not hold a record of this format.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
            return cls._rebuilt(arrays, facts)
        except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RecordFileError(f"it does not hold an evaluation record: {error}") from error

    @classmethod
    def _rebuilt(cls, arrays: dict[str, npt.NDArray[Any]], facts: dict[str, Any]) -> Self:
        if facts["format"] != FORMAT:
            raise ValueError(f"it has format {facts['format']}, this program knows {FORMAT}")
        reference = LabelMatrix(arrays.pop("labels"), arrays.pop("label_mask"))
        return cls(
            **arrays,
            reference=reference,
            labels=tuple(LabelName(*values) for values in facts["labels"]),
            side=facts["side"],
            judged_by=facts["judged_by"],
            history=tuple(facts["history"]),
            about=facts["about"],
        )


def write_record(path: Path, record: EvaluationRecord) -> StoredRecord:
    """Write a record as the file `path`, whole or not at all, replacing an earlier one.

    What a killed process leaves beside it begins with a dot.
    """
    content = record.to_bytes()
    return StoredRecord(path, atomic_write(path, content), len(content))


def read_record(path: Path, expected_sha256: str) -> EvaluationRecord:
    """Read back what `write_record` wrote; the checksum is compared before it is parsed.

    Raises
    ------
    RecordFileError : missing, another checksum, or no record.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordFileError(f"the evaluation record is missing: {error}") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise RecordFileError(f"{path.name} is not the evaluation record that was registered")
    return EvaluationRecord.from_bytes(content)
