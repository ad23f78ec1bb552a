"""A simulated library: tracks, and curators whose criteria are known.

The demo library, the tests and the experiments use this simulator at three sizes. Numpy only;
the sound of its tracks is in `ml.simulation.synthesis`.

Model
-----
- A track has one or two genres, at the study's prevalences. An album favours one genre.
- Each genre is a point in feature space; a track lies at the mean of its genres plus an album
  offset plus unit noise. An alternate mix has its parent's genres and nearly its features.
- A curator gives a genre that applies with a probability (sensitivity), omits one that does not
  apply with another (specificity), and may confuse one genre with another: all by label and
  date.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np

from ml.constants import study_labels
from ml.errors import ParameterError
from ml.metrics.scores import evaluate
from ml.types import Bools, Doubles, FloatArray, Hashed, Indices, LabelMatrix

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
    """Parameters of a simulation; the same values always give the same tracks.

    Attributes
    ----------
    n_tracks : number of tracks, >= 1.
    labels : (name, weight) of each genre; the default is the study's 30 with their counts.
    labels_per_track : mean number of genres, 1 to 2 (1.606 in the study's whole catalogue).
    n_features : dimensions of the feature space.
    separation : distance of a genre from the centre, in standard deviations of the noise.
    label_noise : share of tracks with one genre replaced by another at random.
    tracks_per_album : mean size of an album.
    album_lean : probability that a track takes its first genre from its album.
    mix_share : share of tracks that are alternate mixes.
    seed : seed of everything.

    Raises
    ------
    ParameterError : a value is out of range.
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
            raise ParameterError(
                f"labels_per_track is {self.labels_per_track}; it must lie in 1..2"
            )
        if self.n_tracks < 1 or len(self.labels) < 2 or self.n_features < 1:
            raise ParameterError(
                "n_tracks and n_features must be at least 1, and there must be two labels"
            )
        if min(weight for _, weight in self.labels) <= 0:
            raise ParameterError("every label must have a weight above 0")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, even after a round trip through JSON (lists for tuples).

        Parameters
        ----------
        values : parameters by name; those left out have their default.

        Returns
        -------
        SimulationConfig

        Raises
        ------
        ParameterError : a name is unknown or a value out of range.
        """
        if "labels" in values:
            labels = tuple((name, weight) for name, weight in values["labels"])
            values = {**values, "labels": labels}
        return super().from_dict(values)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of every column."""
        return tuple(name for name, _ in self.labels)

    @property
    def weights(self) -> Doubles:
        """Share of each label among first genres, float64 (n_labels,), sum 1."""
        weights = np.array([weight for _, weight in self.labels], dtype=float)
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class SimulatedTracks:
    """The tracks of one configuration, row by row.

    Attributes
    ----------
    config : the configuration.
    genres : bool array (n_tracks, n_labels), true labels (after the label noise).
    features : float32 array (n_tracks, n_features).
    genre_means : float64 array (n_labels, n_features), the point of each genre.
    album : int array (n_tracks,).
    family : int array (n_tracks,), -1 for a track without other mixes.
    keys, titles, albums : text for each track; keys are unique relative paths.
    """

    config: SimulationConfig
    genres: Bools
    features: FloatArray
    genre_means: Doubles
    album: Indices
    family: Indices
    keys: tuple[str, ...]
    titles: tuple[str, ...]
    albums: tuple[str, ...]

    def genres_of(self, index: int) -> list[str]:
        """Return the genres of one track.

        Parameters
        ----------
        index : row of the track.

        Returns
        -------
        list of names.
        """
        return [self.config.names[label] for label in np.flatnonzero(self.genres[index])]

    def neighbours(self) -> Indices:
        """Return for each label the nearest other one, with which it is confused.

        Returns
        -------
        int array (n_labels,), columns.
        """
        gaps = self.genre_means[:, None] - self.genre_means[None]
        squared = (gaps**2).sum(axis=2)
        np.fill_diagonal(squared, np.inf)
        return squared.argmin(axis=1)


def simulate_tracks(config: SimulationConfig) -> SimulatedTracks:
    """Draw the tracks of a configuration.

    Parameters
    ----------
    config : the same configuration gives the same tracks.

    Returns
    -------
    SimulatedTracks

    Examples
    --------
    >>> tracks = simulate_tracks(SimulationConfig(n_tracks=4))
    >>> tracks.genres.shape, tracks.features.shape
    ((4, 30), (4, 40))
    """
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


def oracle_probabilities(tracks: SimulatedTracks) -> Doubles:
    """Compute the predictions of the best possible model: the exact posterior of each label.

    Sums over every set of one or two genres. The oracle knows the points of the genres, their
    prevalences and the label noise, but not the offset of a single album.

    Parameters
    ----------
    tracks : simulated tracks.

    Returns
    -------
    float64 array (n_tracks, n_labels) in [0, 1].

    Examples
    --------
    >>> tracks = simulate_tracks(SimulationConfig(n_tracks=200))
    >>> found = oracle_probabilities(tracks)
    >>> bool(abs(found.sum(axis=1).mean() - tracks.genres.sum(axis=1).mean()) < 0.1)
    True
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
    """Compute macro AP of `oracle_probabilities` on the tracks: the ceiling of any model.

    Parameters
    ----------
    tracks : simulated tracks.

    Returns
    -------
    float in (0, 1], or None when no label can be scored.
    """
    labels = LabelMatrix(tracks.genres, np.ones_like(tracks.genres))
    prior = tracks.genres.mean(axis=0)
    found = evaluate(oracle_probabilities(tracks), labels, prior, prior=prior, n_bootstrap=0)
    ceiling: float | None = found["macro_ap"]
    return ceiling


def _draw_genres(config: SimulationConfig, album: Indices, rng: np.random.Generator) -> Bools:
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
    album: Indices,
    genres: Bools,
    features: Doubles,
    rng: np.random.Generator,
) -> Indices:
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
    album: Indices, family: Indices, rng: np.random.Generator
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
    """Criteria of one curator from a date on.

    Attributes
    ----------
    since : aware time from which they apply.
    sensitivity, specificity : for every label that `by_label` does not name.
    by_label : (name, sensitivity, specificity).
    replaced : (label, label given in its place, probability), in this order.
    """

    since: datetime
    sensitivity: float = 0.9
    specificity: float = 0.995
    by_label: tuple[tuple[str, float, float], ...] = ()
    replaced: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True)
class SimulatedCurator:
    """A curator with a name and dated criteria.

    Attributes
    ----------
    name : unique name.
    criteria : the oldest first.
    gives_at_least_one : without any label to give, the curator gives the one nearest to a true
        genre, as people who must choose do.
    """

    name: str
    criteria: tuple[Criteria, ...]
    gives_at_least_one: bool = True

    def criteria_at(self, at: datetime) -> Criteria:
        """Return the criteria that apply at a time.

        Parameters
        ----------
        at : aware time.

        Returns
        -------
        Criteria; before the first date, the first.
        """
        held = [criteria for criteria in self.criteria if criteria.since <= at]
        return held[-1] if held else self.criteria[0]

    def answer(
        self, tracks: SimulatedTracks, index: int, at: datetime, rng: np.random.Generator
    ) -> Bools:
        """Draw this curator's answer to one track.

        Parameters
        ----------
        tracks : simulated tracks.
        index : row of the track.
        at : aware time of the answer.
        rng : source of chance.

        Returns
        -------
        bool array (n_labels,).
        """
        criteria, names = self.criteria_at(at), tracks.config.names
        heard = np.full(len(names), criteria.sensitivity)
        refused = np.full(len(names), criteria.specificity)
        for name, sensitivity, specificity in criteria.by_label:
            label = names.index(name)
            heard[label], refused[label] = sensitivity, specificity
        applies = tracks.genres[index]
        chance = np.where(applies, heard, 1 - refused)
        given: Bools = rng.random(len(names)) < chance
        for old, new, probability in criteria.replaced:
            if given[names.index(old)] and rng.random() < probability:
                given[names.index(old)], given[names.index(new)] = False, True
        if self.gives_at_least_one and not given.any():
            given[tracks.neighbours()[rng.choice(np.flatnonzero(applies))]] = True
        return given


def demo_curators(
    changed_at: datetime,
    *,
    merged: tuple[str, str] = ("Atmosphere", "Ambient, Chill"),
    dropped: str = "Electronica",
) -> tuple[SimulatedCurator, ...]:
    """Return the demo's curators: Ana, whose criteria change; Ben, steady; Cora, hasty.

    From `changed_at` on Ana mostly gives the second label of `merged` in place of the first,
    and gives `dropped` a third as often: three labels whose rates change at a known date.

    Parameters
    ----------
    changed_at : aware time of the change.
    merged, dropped : labels of the configuration.

    Returns
    -------
    tuple of three SimulatedCurator.
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
