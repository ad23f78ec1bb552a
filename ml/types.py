"""Values that all packages of `ml` share: parameters, label matrices, array types. Numpy only.

Parameters are frozen dataclasses whose canonical JSON is hashed. The hash identifies feature
shards, snapshots and runs, so two runs with the same hash had the same parameters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError

#: Arrays of any shape. `Floats` have any float dtype, `FloatArray` is float32.
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
FloatArray = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
#: Rows or columns of another array.
Indices = npt.NDArray[np.intp]
#: Progress of a piece of work: called with (units done, units in all).
OnProgress = Callable[[int, int], None]


class Hashed:
    """Base of frozen dataclasses with a canonical JSON form and its sha256."""

    def canonical(self) -> dict[str, Any]:
        """Return the parameters in the order of the fields.

        Returns
        -------
        dict : JSON-able; the input of `digest`.
        """
        return asdict(self)  # type: ignore[call-overload]

    def digest(self) -> str:
        """Return the sha256 of the canonical JSON.

        Returns
        -------
        str : 64 hexadecimal digits.
        """
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`.

        Parameters
        ----------
        values : parameters by name; those left out have their default.

        Returns
        -------
        An instance of the class.

        Raises
        ------
        ParameterError : a name is unknown.
        """
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ParameterError(
                f"{cls.__name__} has no {', '.join(unknown)}; known: {', '.join(sorted(known))}"
            )
        return cls(**values)


def require_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise an error unless a value is one of the known ones.

    Parameters
    ----------
    name : name of the parameter, for the message.
    value : its value.
    known : accepted values.

    Raises
    ------
    ParameterError : `value` is not in `known`.
    """
    if value not in known:
        raise ParameterError(f"{name} is {value!r}; known: {', '.join(known)}")


@dataclass(frozen=True)
class FeatureConfig(Hashed):
    """Parameters of feature extraction: how an excerpt becomes feature windows.

    Attributes
    ----------
    name : name of the configuration, part of its digest.
    sample_rate_hz : rate to which audio is resampled first, in Hz.
    excerpt_s : seconds taken from the exact middle; a shorter track is used whole.
    window_s : length of one window ("sample" in the study), in seconds.
    frame_s, step_s : length of an analysis frame and its step, in seconds.
    n_fft : FFT length in samples.
    n_mels : number of mel filters.
    n_mfcc : number of coefficients kept (unused by "log-mel", whose values are the filters).
    fmin_hz, fmax_hz : range of the mel filters, in Hz.
    preemphasis, lifter : as in python_speech_features.
    semantics : version of the arithmetic; a change of it gives new features.
    kind : content of a frame: "mfcc" (`ml.features.mfcc`), or "timbral" and "log-mel"
        (`ml.features.spectra`), which have Hann frames without pre-emphasis or lifter.
    """

    name: str
    sample_rate_hz: int = 44_100
    excerpt_s: float = 40.0
    window_s: float = 1.0
    frame_s: float = 0.025
    step_s: float = 0.010
    n_fft: int = 2_048
    n_mels: int = 26
    n_mfcc: int = 13
    fmin_hz: float = 0.0
    fmax_hz: float = 22_050.0
    preemphasis: float = 0.97
    lifter: int = 22
    semantics: str = "psf-window-1"
    kind: str = "mfcc"

    def canonical(self) -> dict[str, Any]:
        """Return the parameters; `kind` is left out for MFCC features.

        Before there were other kinds, `kind` did not exist: MFCC features keep their digest.

        Returns
        -------
        dict : JSON-able; the input of `digest`.
        """
        values = super().canonical()
        if self.kind == "mfcc":
            del values["kind"]
        return values

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(frames in a window, coefficients): (99, 13) for 1 s, (24, 13) for 0.25 s.

        The last frame of an MFCC window is padded with zeros; other kinds have whole frames
        only.
        """
        frame = round_half_up(self.frame_s * self.sample_rate_hz)
        step = round_half_up(self.step_s * self.sample_rate_hz)
        beyond = max(0, round(self.window_s * self.sample_rate_hz) - frame)
        steps = -(-beyond // step) if self.kind == "mfcc" else beyond // step
        return 1 + steps, self.n_coefficients

    @property
    def n_coefficients(self) -> int:
        """Number of values of a frame."""
        others = {"timbral": self.n_mfcc + N_SHAPE_VALUES, "log-mel": self.n_mels}
        return others.get(self.kind, self.n_mfcc)


#: Values of a timbral frame in addition to its MFCCs: contrast in seven bands, roll-off,
#: centroid, flux, zero crossings.
N_SHAPE_VALUES = 11


def round_half_up(value: float) -> int:
    """Round half up, as python_speech_features does, and not to the even number.

    Parameters
    ----------
    value : number >= 0.

    Returns
    -------
    int

    Examples
    --------
    >>> round_half_up(2.5), round(2.5)
    (3, 2)
    """
    return int(value + 0.5)


#: The study's two window lengths, and our default: the same with the top of the mel bank at
#: 15 kHz, above which a file's bit rate affects the features. Then those that some networks
#: need: timbral statistics (81 kB per track of 40 s) and spectrograms (256 kB; MFCC: 103 kB).
FEATURE_CONFIGS: dict[str, FeatureConfig] = {
    "seed-1s": FeatureConfig(name="seed-1s"),
    "seed-025s": FeatureConfig(name="seed-025s", window_s=0.25),
    "audiotag": FeatureConfig(name="audiotag", fmax_hz=15_000.0),
    "timbral": FeatureConfig(
        name="timbral",
        kind="timbral",
        semantics="hann-window-1",
        frame_s=2_048 / 44_100,
        step_s=1_024 / 44_100,
        n_mels=40,
        fmin_hz=40.0,
        fmax_hz=15_000.0,
        preemphasis=0.0,
        lifter=0,
    ),
    "mel-80": FeatureConfig(
        name="mel-80",
        kind="log-mel",
        semantics="hann-window-1",
        frame_s=2_048 / 44_100,
        step_s=0.024,
        n_mels=80,
        fmin_hz=40.0,
        fmax_hz=15_000.0,
        preemphasis=0.0,
        lifter=0,
    ),
}


#: What the validation set (for stopping and calibration) is made of: whole split groups, single
#: tracks, or windows, so that windows of one track are on both sides (as in the study).
Split = Literal["grouped", "tracks", "windows"]
#: How the items of an epoch are drawn: all tracks with equal probability, or a label by its
#: frequency, then a track that has it, then one of its windows (as in the study).
Sampling = Literal["uniform", "label-distribution"]
Calibration = Literal["platt", "none"]
Thresholds = Literal["tuned", "half"]
Bias = Literal["prior", "zero"]
#: What training does with labels given by other than the current criteria: "same" treats them
#: alike, "apart" conditions the model on the criteria (`ml.networks.inputs`).
CriteriaRule = Literal["same", "apart"]
#: Whether the labels of a track are predicted independently ("free"), or jointly with how many
#: labels of a facet tracks carry ("learnt"; `ml.training.cardinality`).
CountsRule = Literal["free", "learnt"]


@dataclass(frozen=True)
class TrainingConfig(Hashed):
    """Parameters of one training run; each network reads its own from `options`.

    Attributes
    ----------
    network : a name in `ml.networks.REGISTRY`.
    features : a name in `FEATURE_CONFIGS`.
    epochs, batch_size, learning_rate : 0 means the network's default.
    seed : seed of everything random.
    loss : a name in `ml.training.losses.LOSSES`, or "keras-class-weight".
    validation_share : share of the groups, tracks or windows in the validation set, above 0 and
        at most 0.5.
    options : further parameters of the network, (name, value).
    split, sampling : see `Split` and `Sampling`.
    calibration : "platt", or "none": the outputs of the network are the probabilities.
    thresholds : "tuned" for F1 on the validation set, or "half": 0.5 for every label.
    bias : the output bias starts at the log odds of the labels ("prior"), or at 0 ("zero").
    members : number of networks in the ensemble, >= 1; the model is the mean of their outputs.
    criteria : see `CriteriaRule`.
    label_counts : see `CountsRule`.

    Raises
    ------
    ParameterError : split, sampling, calibration, thresholds, bias, criteria or label_counts is
        not a known choice, or members is below 1.
    """

    network: str = "pooled"
    features: str = "audiotag"
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 0.0
    seed: int = 0
    loss: str = "sqrt-weighted-bce"
    validation_share: float = 0.15
    options: tuple[tuple[str, float | str | bool], ...] = ()
    split: Split = "grouped"
    sampling: Sampling = "uniform"
    calibration: Calibration = "platt"
    thresholds: Thresholds = "tuned"
    bias: Bias = "prior"
    members: int = 1
    criteria: CriteriaRule = "same"
    label_counts: CountsRule = "free"

    def __post_init__(self) -> None:
        require_choice("split", self.split, get_args(Split))
        require_choice("sampling", self.sampling, get_args(Sampling))
        require_choice("calibration", self.calibration, get_args(Calibration))
        require_choice("thresholds", self.thresholds, get_args(Thresholds))
        require_choice("bias", self.bias, get_args(Bias))
        require_choice("criteria", self.criteria, get_args(CriteriaRule))
        require_choice("label_counts", self.label_counts, get_args(CountsRule))
        if self.members < 1:
            raise ParameterError(f"members is {self.members}; it must be at least 1")

    def canonical(self) -> dict[str, Any]:
        """Return the parameters; those added later are left out at their default.

        They did not exist when the first models were trained: those keep their digest.

        Returns
        -------
        dict : JSON-able; the input of `digest`.
        """
        values = super().canonical()
        later = {"members": 1, "criteria": "same", "label_counts": "free"}
        for name, default in later.items():
            if values[name] == default:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, even after a round trip through JSON (lists for tuples).

        Parameters
        ----------
        values : parameters by name; those left out have their default.

        Returns
        -------
        TrainingConfig

        Raises
        ------
        ParameterError : a name or a choice is unknown.

        Examples
        --------
        >>> import json
        >>> config = TrainingConfig(options=(("units", 64.0),))
        >>> TrainingConfig.from_dict(json.loads(json.dumps(config.canonical()))) == config
        True
        """
        options = tuple((name, value) for name, value in values.get("options", ()))
        return super().from_dict({**values, "options": options})


@dataclass(frozen=True)
class LabelMatrix:
    """Labels of tracks: `labels` where `label_mask` is True, unknown elsewhere.

    Attributes
    ----------
    labels : bool array (n_tracks, n_labels); True where the label was given.
    label_mask : bool array of the same shape; False means "not asked, or unsure", never a
        negative.
    soft : float32 array of the same shape, or None. Probability that the label applies, where
        several answers were combined into one; NaN where nobody judged. Training learns from
        it, including cells whose answers disagree, for which `label_mask` is False.

    Raises
    ------
    ParameterError : the shapes differ or are not two-dimensional.
    """

    labels: Bools
    label_mask: Bools
    soft: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.label_mask.shape or self.labels.ndim != 2:
            raise ParameterError(
                f"labels {self.labels.shape} and label_mask {self.label_mask.shape} must be "
                "the same two-dimensional shape (tracks, labels)"
            )
        if self.soft is not None and self.soft.shape != self.labels.shape:
            raise ParameterError(f"soft {self.soft.shape} must be {self.labels.shape}")

    @property
    def n_tracks(self) -> int:
        """Number of tracks (rows)."""
        return int(self.labels.shape[0])

    @property
    def n_labels(self) -> int:
        """Number of labels (columns)."""
        return int(self.labels.shape[1])

    @property
    def answered(self) -> Bools:
        """Cells to learn from: judged, or with a probability; bool (n_tracks, n_labels)."""
        if self.soft is None:
            return self.label_mask
        return self.label_mask | np.isfinite(self.soft)

    @property
    def targets(self) -> FloatArray:
        """Targets to learn: the probability, else 0 or 1; float32 (n_tracks, n_labels)."""
        hard = self.labels.astype(np.float32)
        if self.soft is None:
            return hard
        return np.where(np.isfinite(self.soft), self.soft, hard)

    def rows(self, index: Indices) -> LabelMatrix:
        """Return the matrix of some tracks, in the order given.

        Parameters
        ----------
        index : int array (n,), rows.

        Returns
        -------
        LabelMatrix (n, n_labels).
        """
        soft = None if self.soft is None else self.soft[index]
        return LabelMatrix(self.labels[index], self.label_mask[index], soft)

    def only(self, kept: Bools) -> LabelMatrix:
        """Return the matrix with all other cells as not judged.

        Parameters
        ----------
        kept : bool array that broadcasts to (n_tracks, n_labels).

        Returns
        -------
        LabelMatrix of the same shape.
        """
        soft = self.soft
        if soft is not None:
            soft = np.where(kept, soft, np.float32(np.nan))
        return LabelMatrix(self.labels, self.label_mask & kept, soft)
