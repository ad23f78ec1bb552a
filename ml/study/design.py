"""Design of the study in the small: the simulated library, fixed before any recipe was run.

Stage: study. Numpy only. The library of the study is not available. The simulated one has its
genres at its prevalences and two labels a track, so that predicting no label is right in 93 %
of all cells, as in the study. It has the feature statistics of recordings, and, as the author
suspected, a previous curator with other criteria than the current one.

No parameter was chosen by the score of a recipe. `separation` is the smallest whole number at
which the best possible model reaches a macro AP of 0.6 on the 30 labels of the study.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import numpy as np
import numpy.typing as npt

from ml.constants import GENRE_COUNTS, N_TOP_GENRES
from ml.errors import ParameterError
from ml.features.track_features import ArrayFeatures
from ml.metrics.scores import evaluate
from ml.simulation.library import (
    Criteria,
    SimulatedCurator,
    SimulatedTracks,
    SimulationConfig,
    oracle_probabilities,
    simulate_tracks,
)
from ml.simulation.windows import N_FEATURES, WindowModel, quarter_windows, simulate_windows
from ml.types import Bools, Hashed, LabelMatrix

#: Day on which one curator left and the next began.
CHANGED_AT = datetime(2018, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StudyDesign(Hashed):
    """Parameters of the library that `make study` simulates.

    Attributes
    ----------
    n_tracks : of the whole library. labels_per_track : mean, at the prevalences of Figure 1.
    separation : as in `SimulationConfig`. windows : as in `WindowModel`.
    current_share : share of the training tracks that the current curator has labelled, in
        (0, 1).
    held_out_share : share of the tracks, whole albums, on which every recipe is measured by the
        labels of the current curator, in (0, 1).
    """

    n_tracks: int = 1_500
    labels_per_track: float = 2.0
    separation: float = 6.0
    windows: WindowModel = field(default_factory=WindowModel)
    current_share: float = 0.4
    held_out_share: float = 0.2

    def simulation(self, seed: int) -> SimulationConfig:
        """Return the configuration of the tracks, with all 55 genres of Figure 1.

        Parameters
        ----------
        seed : of the simulation.

        Returns
        -------
        SimulationConfig : of the library.
        """
        return SimulationConfig(
            n_tracks=self.n_tracks,
            labels=tuple(GENRE_COUNTS.items()),
            labels_per_track=self.labels_per_track,
            n_features=N_FEATURES,
            separation=self.separation,
            seed=seed,
        )


def study_curators() -> tuple[SimulatedCurator, SimulatedCurator]:
    """Return the previous and the current curator, who took over at `CHANGED_AT`.

    The first gave a large part of five frequent genres the name of a related genre, and three
    others half as often as they apply. The second is attentive and consistent.

    Returns
    -------
    tuple of SimulatedCurator : previous and current.
    """
    begin = datetime.min.replace(tzinfo=UTC)
    legacy = Criteria(
        since=begin,
        sensitivity=0.8,
        specificity=0.995,
        by_label=(
            ("Easy Listening", 0.4, 0.995),
            ("Funk, Soul", 0.4, 0.995),
            ("Sound Design", 0.4, 0.995),
        ),
        replaced=(
            ("Atmosphere", "Ambient, Chill", 0.6),
            ("Electronica", "Dance", 0.5),
            ("Pop", "Indie, Alternative", 0.4),
            ("Filmscore", "Orchestral", 0.3),
            ("Rock", "Hard, Heavy", 0.3),
        ),
    )
    current = Criteria(since=begin, sensitivity=0.95, specificity=0.998)
    return (
        SimulatedCurator("first", (legacy,)),
        SimulatedCurator("second", (current,)),
    )


@dataclass(frozen=True)
class SimulatedStudy:
    """A simulated library with everything that a recipe may be given.

    Attributes
    ----------
    tracks : true labels and features. windows : float32 (n_tracks, w, 99, 13).
    by_legacy, by_current : bool (n_tracks, n_labels), labels of each curator for every track.
    is_current : bool (n_tracks,), True if the current curator's labels are on record.
    is_held_out : bool (n_tracks,), True for tracks from which nothing is learnt.
    """

    tracks: SimulatedTracks
    windows: npt.NDArray[np.float32]
    by_legacy: Bools
    by_current: Bools
    is_current: Bools
    is_held_out: Bools

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of every column."""
        return self.tracks.config.names

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """Album of each track, int (n_tracks,), which every split keeps together."""
        return self.tracks.album

    def features(self) -> dict[str, ArrayFeatures]:
        """Return the windows of the study, of 1 s and 0.25 s.

        Returns
        -------
        dict of str and ArrayFeatures : by the name of the feature configuration.
        """
        quarters = quarter_windows(self.windows)
        return {
            "seed-1s": ArrayFeatures(track_windows=list(self.windows)),
            "seed-025s": ArrayFeatures(track_windows=list(quarters)),
        }

    def on_record(self) -> Bools:
        """Return the labels of the library, each track by the curator who labelled it.

        Returns
        -------
        Bools : bool (n_tracks, n_labels).
        """
        return np.where(self.is_current[:, None], self.by_current, self.by_legacy)


def simulate_study(design: StudyDesign, seed: int) -> SimulatedStudy:
    """Simulate the library of a design.

    Parameters
    ----------
    design : of the library. seed : the same design and seed give the same library.

    Returns
    -------
    SimulatedStudy : library and labels of both curators.

    Raises
    ------
    ParameterError : a share is not between 0 and 1.
    """
    if not 0 < design.current_share < 1 or not 0 < design.held_out_share < 1:
        raise ParameterError("current_share and held_out_share must lie between 0 and 1")
    tracks = simulate_tracks(design.simulation(seed))
    rng = np.random.default_rng([seed, 2])
    legacy, current = (_answers(tracks, curator, rng) for curator in study_curators())
    is_held_out = _held_out(tracks.album, design.held_out_share, rng)
    is_current = rng.random(len(tracks.keys)) < design.current_share
    return SimulatedStudy(
        tracks=tracks,
        windows=simulate_windows(tracks, design.windows),
        by_legacy=legacy,
        by_current=current,
        is_current=is_current | is_held_out,
        is_held_out=is_held_out,
    )


def study_columns(names: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Return the columns of the study's 29 most frequent genres.

    Parameters
    ----------
    names : of all genres, in the order of the columns.

    Returns
    -------
    ndarray : int (29,), the most frequent first.
    """
    ranked = sorted(GENRE_COUNTS, key=lambda name: -GENRE_COUNTS[name])
    return np.array([names.index(name) for name in ranked[:N_TOP_GENRES]])


def oracle_on_study_labels(tracks: SimulatedTracks) -> float:
    """Compute macro AP of the best possible model on the study's 30 labels, by the truth.

    "Others" applies if any of the rarer genres does. Its probability is one minus that of none
    of them, treated as independent.

    Parameters
    ----------
    tracks : simulated.

    Returns
    -------
    float : in [0, 1].
    """
    probabilities = oracle_probabilities(tracks)
    top = study_columns(tracks.config.names)
    is_rest = ~np.isin(np.arange(tracks.genres.shape[1]), top)
    others = 1 - np.prod(1 - probabilities[:, is_rest], axis=1)
    scores = np.column_stack([probabilities[:, top], others])
    truth = np.column_stack([tracks.genres[:, top], tracks.genres[:, is_rest].any(axis=1)])
    prior = truth.mean(axis=0)
    labels = LabelMatrix(truth, np.ones_like(truth))
    found = evaluate(scores, labels, prior, prior=prior, n_bootstrap=0)
    return cast(float, found["macro_ap"])


def _answers(
    tracks: SimulatedTracks, curator: SimulatedCurator, rng: np.random.Generator
) -> Bools:
    rows = range(len(tracks.keys))
    at = CHANGED_AT - timedelta(days=1)
    return np.array([curator.answer(tracks, row, at, rng) for row in rows])


def _held_out(groups: npt.NDArray[np.intp], share: float, rng: np.random.Generator) -> Bools:
    """Draw whole groups until they hold `share` of the tracks."""
    order = rng.permutation(np.unique(groups))
    sizes = np.bincount(groups)[order]
    n_groups = int(np.searchsorted(np.cumsum(sizes), share * len(groups))) + 1
    return np.isin(groups, order[:n_groups])
