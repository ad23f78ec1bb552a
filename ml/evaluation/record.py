"""Evaluation record: the scores and reference labels of the tracks that a run held out.

Stage: evaluation. The record is stored with the model. Every metric of a report is computed
from this record alone, so that a test, a later version or a comparison with other runs can
compute it again. Numpy only; nothing in the file is ever unpickled.

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
from ml.types import Floats, LabelMatrix

FORMAT = 1
FILE_NAME = "evaluation.npz"
#: Tracks of a record: the audit tracks, or all tracks of the training side, out of fold.
AUDIT, FOLDS = "audit", "folds"
SIDES = (AUDIT, FOLDS)
_UID = "S36"
_FACTS = "facts"


class RecordFileError(MlError):
    """A record's file is missing, damaged or not the one that was registered."""


@dataclass(frozen=True)
class LabelName:
    """Name of a column.

    Attributes
    ----------
    uid, name : of the label. facet : empty for a label made by a recipe, such as Others.
    """

    uid: str
    name: str
    facet: str = ""

    @property
    def is_made(self) -> bool:
        """True if the label is made of others; its uid does not identify which ones."""
        return not self.facet and self.name == OTHERS


@dataclass(frozen=True)
class Part:
    """One model of a record.

    Attributes
    ----------
    rows : int (m,), tracks that it scored.
    thresholds, prior : float64 (n_labels,).
    """

    rows: npt.NDArray[np.intp]
    thresholds: Floats
    prior: Floats


@dataclass(frozen=True)
class StoredRecord:
    """Facts about a record that was written.

    Attributes
    ----------
    path : of the file. sha256 : of the file, 64 hexadecimal characters.
    size_bytes : of the file.
    """

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
    reference : (n, n_labels), labels to measure by.
    logits : float32 (n, n_labels), log odds before calibration; NaN for a track without any
        item to score.
    probabilities : float32 (n, n_labels), calibrated; NaN only after a training that diverged.
    thresholds, prior : float64 (n_parts, n_labels), tuned thresholds and label frequencies of
        the training side of each part.
    part_of : int (n,), the part that scored the track.
    labels : names of the columns. side : one of `SIDES`.
    judged_by : whose labels the reference holds, in words.
    history : one dict for each epoch, as `EpochReport`, with `part` if there are several.
    about : training data and configuration of the run; any JSON values.

    Raises
    ------
    ParameterError : shapes differ, a track is listed twice, or a value is not a known choice.
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
        """Probabilities of the baseline (prior predictor), float64 (n, n_labels)."""
        return self.prior[self.part_of]

    @property
    def raw(self) -> Floats:
        """Probabilities before calibration, float64 (n, n_labels); NaN if not scored."""
        return sigmoid(self.logits)

    def parts(self) -> Iterator[Part]:
        """List the models that scored any track.

        Yields
        ------
        Part : in order; a record with one model always has its part.
        """
        for number in range(self.n_parts):
            rows = np.flatnonzero(self.part_of == number)
            if len(rows) or self.n_parts == 1:
                yield Part(rows, self.thresholds[number], self.prior[number])

    def of_columns(self, columns: npt.NDArray[np.intp]) -> Self:
        """Select labels of the record.

        Parameters
        ----------
        columns : int (m,), in the order wanted.

        Returns
        -------
        EvaluationRecord : of these labels.
        """
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
        """Write the record as .npz.

        Returns
        -------
        bytes : content of the file.
        """
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
        """Read a record from .npz.

        Parameters
        ----------
        content : as `to_bytes` returned it.

        Returns
        -------
        EvaluationRecord : with the same values.

        Raises
        ------
        RecordFileError : the content is not a record of this format.
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
    """Write a record as a file, whole or not at all; it replaces an earlier file.

    A killed process may leave a temporary file in the same folder; its name begins with a dot.

    Parameters
    ----------
    path : of the file. record : to write.

    Returns
    -------
    StoredRecord : with the checksum to register.
    """
    content = record.to_bytes()
    return StoredRecord(path, atomic_write(path, content), len(content))


def read_record(path: Path, expected_sha256: str) -> EvaluationRecord:
    """Read a record that `write_record` wrote.

    Parameters
    ----------
    path : of the file. expected_sha256 : compared before the file is parsed.

    Returns
    -------
    EvaluationRecord : with the same values.

    Raises
    ------
    RecordFileError : the file is missing, has another checksum, or does not hold a record.
    """
    return EvaluationRecord.from_bytes(checked_content(path, expected_sha256))


def checked_content(path: Path, expected_sha256: str) -> bytes:
    """Read the file of a record and compare its checksum.

    Parameters
    ----------
    path : of the file. expected_sha256 : its checksum when it was written.

    Returns
    -------
    bytes : the content of the file.

    Raises
    ------
    RecordFileError : the file is missing or has another checksum.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordFileError(f"the evaluation record is missing: {error}") from error
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise RecordFileError(f"{path.name} is not the evaluation record that was registered")
    return content
