"""A library that was never recorded: tracks, and curators whose criteria are known.

The demo library, the tests and the experiments are three sizes of this one simulator. Numpy
only; the sound of its tracks is in `ml.simulation.synthesis`.

Model
-----
- A track has one or two genres, at the study's prevalences. An album leans to one genre.
- Each genre is a point in feature space; a track lies at the mean of its genres plus an album
  offset plus unit noise. An alternative mix has its parent's genres and nearly its features.
- A curator hears a genre that applies with a sensitivity, one that does not with 1 -
  specificity, and may call one genre by another's name: all by label and by date.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.constants import study_labels
from ml.errors import ParameterError
from ml.metrics.scores import evaluate
from ml.types import Bools, Hashed, LabelMatrix

_ALBUM_DEVIATION = 0.5
_MIX_DEVIATION = 0.2
_ADJECTIVES = (
    "Quiet", "Hidden", "Northern", "Electric", "Broken", "Golden", "Distant", "Silent", "Early",
    "Rolling", "Open", "Faded", "Bright", "Heavy", "Tender", "Restless", "Slow", "Paper",
)  # fmt: skip
_NOUNS = (
    "Harbour", "Signal", "Garden", "Engine", "Winter", "Mirror", "Avenue", "Tide", "Letter",
    "Machine", "Meadow", "Station", "Shadow", "Orchard", "Corner", "Lantern", "Border", "Cloud",
)  # fmt: skip


@dataclass(frozen=True)
class SimulationConfig(Hashed):
    """What to simulate; the same values always give the same tracks.

    Attributes
    ----------
    n_tracks : number of tracks, >= 1.
    labels : (name, weight) of each genre; the default is the study's 30 with their counts.
    labels_per_track : mean number of genres, 1 to 2 (1.606 in the study's whole catalogue).
    n_features : dimensions of the feature space.
    separation : distance of a genre from the centre, in deviations of the noise.
    label_noise : share of tracks that have one genre replaced by another at random.
    tracks_per_album : mean size of an album. album_lean : chance that a track takes its first
        genre from its album. mix_share : share of tracks that are alternative mixes.
    seed : of everything.
    """

    n_tracks: int = 2_000
    labels: tuple[tuple[str, float], ...] = study_labels()
    labels_per_track: float = 1.8
    n_features: int = 40
    separation: float = 4.0
    label_noise: float = 0.0
    tracks_per_album: float = 10.0
    album_lean: float = 0.5
    mix_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.labels_per_track <= 2:
            raise ParameterError(f"labels_per_track {self.labels_per_track} must lie in 1..2")
        if self.n_tracks < 1 or len(self.labels) < 2 or self.n_features < 1:
            raise ParameterError("n_tracks, n_features must be >= 1 and labels at least two")
        if min(weight for _, weight in self.labels) <= 0:
            raise ParameterError("every label needs a weight above 0")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, also after a trip through JSON (lists for tuples)."""
        if "labels" in values:
            labels = tuple((name, weight) for name, weight in values["labels"])
            values = {**values, "labels": labels}
        return super().from_dict(values)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of every column."""
        return tuple(name for name, _ in self.labels)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """Share of each label among first genres, (n_labels,), sums to 1."""
        weights = np.array([weight for _, weight in self.labels], dtype=float)
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class SimulatedTracks:
    """The tracks of one configuration, row by row.

    Attributes
    ----------
    genres : bool (n_tracks, n_labels), what applies (after the label noise).
    features : float32 (n_tracks, n_features).
    genre_means : float64 (n_labels, n_features), where each genre lies.
    album : int (n_tracks,). family : int (n_tracks,), -1 where a track has no other mix.
    keys, titles, albums : text of each track; keys are unique relative paths.
    """

    config: SimulationConfig
    genres: Bools
    features: npt.NDArray[np.float32]
    genre_means: npt.NDArray[np.float64]
    album: npt.NDArray[np.intp]
    family: npt.NDArray[np.intp]
    keys: tuple[str, ...]
    titles: tuple[str, ...]
    albums: tuple[str, ...]

    def genres_of(self, index: int) -> list[str]:
        """Names of the genres of one track."""
        return [self.config.names[label] for label in np.flatnonzero(self.genres[index])]

    def neighbours(self) -> npt.NDArray[np.intp]:
        """For each label the one that lies nearest: what it is mistaken for."""
        gaps = self.genre_means[:, None] - self.genre_means[None]
        squared = (gaps**2).sum(axis=2)
        np.fill_diagonal(squared, np.inf)
        return squared.argmin(axis=1)


def simulate_tracks(config: SimulationConfig) -> SimulatedTracks:
    """Draw the tracks of a configuration; the same configuration gives the same tracks."""
    rng = np.random.default_rng(config.seed)
    n_albums = max(1, round(config.n_tracks / config.tracks_per_album))
    album = np.sort(rng.integers(0, n_albums, config.n_tracks))
    genres = _draw_genres(config, album, rng)
    directions = rng.normal(size=(len(config.labels), config.n_features))
    means = config.separation * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    offsets = _ALBUM_DEVIATION * rng.normal(size=(n_albums, config.n_features))
    features = genres @ means / genres.sum(axis=1, keepdims=True) + offsets[album]
    features += rng.normal(size=features.shape)
    family = _add_mixes(config, album, genres, features, rng)
    _replace_labels(genres, config.label_noise, rng)
    keys, titles, albums = _names(album, family, rng)
    return SimulatedTracks(
        config, genres, features.astype(np.float32), means, album, family, keys, titles, albums
    )


def oracle_probabilities(tracks: SimulatedTracks) -> npt.NDArray[np.float64]:
    """What the best possible model would say: exact posterior of each label, (n, n_labels).

    Sums over every set of one or two genres; knows the genre points, the prevalences and the
    label noise, and nothing of the single album.
    """
    config, weights = tracks.config, tracks.config.weights
    n_labels, share_of_two = len(weights), config.labels_per_track - 1
    pairs = np.array(list(itertools.combinations(range(n_labels), 2)))
    i, j = pairs[:, 0], pairs[:, 1]
    chance = weights[i] * weights[j] * (1 / (1 - weights[i]) + 1 / (1 - weights[j]))
    prior = np.concatenate([(1 - share_of_two) * weights, share_of_two * chance])
    means = np.concatenate([tracks.genre_means, tracks.genre_means[pairs].mean(axis=1)])
    members = np.zeros((len(prior), n_labels))
    members[np.arange(n_labels), np.arange(n_labels)] = 1
    members[n_labels + np.arange(len(pairs))[:, None], pairs] = 1

    variance = 1 + _ALBUM_DEVIATION**2
    features = tracks.features.astype(float)
    squared = (means**2).sum(axis=1) - 2 * features @ means.T
    log_posterior = np.log(np.maximum(prior, 1e-300)) - squared / (2 * variance)
    posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    sizes = members.sum(axis=1)
    lost = config.label_noise * (posterior @ (members / sizes[:, None]))
    gained = config.label_noise * (posterior @ ((1 - members) / (n_labels - sizes)[:, None]))
    return np.clip(posterior @ members - lost + gained, 0, 1)


def oracle_macro_ap(tracks: SimulatedTracks) -> float | None:
    """Macro AP of `oracle_probabilities` on the tracks themselves: the ceiling of any model."""
    labels = LabelMatrix(tracks.genres, np.ones_like(tracks.genres))
    prior = tracks.genres.mean(axis=0)
    found = evaluate(oracle_probabilities(tracks), labels, prior, prior=prior, n_bootstrap=0)
    ceiling: float | None = found["macro_ap"]
    return ceiling


def _draw_genres(
    config: SimulationConfig, album: npt.NDArray[np.intp], rng: np.random.Generator
) -> Bools:
    n_tracks, weights = len(album), config.weights
    themes = rng.choice(len(weights), int(album.max()) + 1, p=weights)
    alone = rng.choice(len(weights), n_tracks, p=weights)
    first = np.where(rng.random(n_tracks) < config.album_lean, themes[album], alone)
    # The largest of log weight + Gumbel noise is a draw by weight, the first one left out.
    wish = np.log(weights) + rng.gumbel(size=(n_tracks, len(weights)))
    wish[np.arange(n_tracks), first] = -np.inf
    genres = np.zeros(wish.shape, dtype=bool)
    genres[np.arange(n_tracks), first] = True
    has_two = np.flatnonzero(rng.random(n_tracks) < config.labels_per_track - 1)
    genres[has_two, wish[has_two].argmax(axis=1)] = True
    return genres


def _add_mixes(
    config: SimulationConfig,
    album: npt.NDArray[np.intp],
    genres: Bools,
    features: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    """Turn some tracks into mixes of the track before them on the album, in place."""
    family = np.full(len(album), -1)
    for row in np.flatnonzero(rng.random(len(album)) < config.mix_share):
        if row == 0 or album[row] != album[row - 1]:
            continue
        genres[row] = genres[row - 1]
        noise = rng.normal(size=features.shape[1])
        features[row] = features[row - 1] + _MIX_DEVIATION * noise
        if family[row - 1] < 0:
            family[row - 1] = row - 1
        family[row] = family[row - 1]
    return family


def _replace_labels(genres: Bools, share: float, rng: np.random.Generator) -> None:
    for row in np.flatnonzero(rng.random(len(genres)) < share):
        old = rng.choice(np.flatnonzero(genres[row]))
        new = rng.choice(np.flatnonzero(~genres[row]))
        genres[row, [old, new]] = False, True


def _names(
    album: npt.NDArray[np.intp], family: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    def words() -> str:
        return f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"

    album_names = [f"{words()} {number + 1}" for number in range(int(album.max()) + 1)]
    titles: list[str] = []
    for row, root in enumerate(family):
        is_mix = root >= 0 and root != row
        titles.append(f"{titles[root]} (Mix {row - root + 1})" if is_mix else words())
    albums = tuple(album_names[number] for number in album)
    places = np.arange(len(album)) - np.searchsorted(album, album) + 1
    keys = tuple(
        f"{name}/{place:02d} {title}.mp3"
        for name, place, title in zip(albums, places, titles, strict=True)
    )
    return keys, tuple(titles), albums


@dataclass(frozen=True)
class Criteria:
    """How one curator judges from a date on.

    Attributes
    ----------
    since : aware time from which they hold.
    sensitivity, specificity : of every label that `by_label` does not name.
    by_label : name -> (sensitivity, specificity).
    replaced : (label, said instead, chance), in this order.
    """

    since: datetime
    sensitivity: float = 0.9
    specificity: float = 0.995
    by_label: tuple[tuple[str, float, float], ...] = ()
    replaced: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True)
class SimulatedCurator:
    """A curator with a name and dated criteria, the oldest first.

    `gives_at_least_one` : one who hears nothing names the label nearest to a genre that
    applies, as people who must choose do.
    """

    name: str
    criteria: tuple[Criteria, ...]
    gives_at_least_one: bool = True

    def criteria_at(self, at: datetime) -> Criteria:
        """Return the criteria in force at a time; before the first date, the first."""
        held = [criteria for criteria in self.criteria if criteria.since <= at]
        return held[-1] if held else self.criteria[0]

    def answer(
        self, tracks: SimulatedTracks, index: int, at: datetime, rng: np.random.Generator
    ) -> Bools:
        """Return what this curator says of one track at one time, bool (n_labels,)."""
        criteria, names = self.criteria_at(at), tracks.config.names
        heard = np.full(len(names), criteria.sensitivity)
        refused = np.full(len(names), criteria.specificity)
        for name, sensitivity, specificity in criteria.by_label:
            label = names.index(name)
            heard[label], refused[label] = sensitivity, specificity
        applies = tracks.genres[index]
        chance = np.where(applies, heard, 1 - refused)
        said: Bools = rng.random(len(names)) < chance
        for old, new, probability in criteria.replaced:
            if said[names.index(old)] and rng.random() < probability:
                said[names.index(old)], said[names.index(new)] = False, True
        if self.gives_at_least_one and not said.any():
            said[tracks.neighbours()[rng.choice(np.flatnonzero(applies))]] = True
        return said


def demo_curators(
    changed_at: datetime,
    *,
    merged: tuple[str, str] = ("Atmosphere", "Ambient, Chill"),
    dropped: str = "Electronica",
) -> tuple[SimulatedCurator, ...]:
    """Return the cast: Ana, whose criteria move at `changed_at`; Ben, steady; Cora, hasty.

    From then on Ana gives most of the first label of `merged` the name of the second, and
    hears `dropped` a third as often: three labels whose rates change at a known date. The
    labels must be among those of the configuration.
    """
    begin = datetime.min.replace(tzinfo=UTC)
    moved = Criteria(
        since=changed_at,
        by_label=((dropped, 0.3, 0.995),),
        replaced=((*merged, 0.85),),
    )
    return (
        SimulatedCurator("Ana", (Criteria(begin), moved)),
        SimulatedCurator("Ben", (Criteria(begin, sensitivity=0.95, specificity=0.998),)),
        SimulatedCurator("Cora", (Criteria(begin, sensitivity=0.75, specificity=0.985),)),
    )
