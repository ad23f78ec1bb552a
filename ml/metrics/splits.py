"""Split groups, audit fold and training folds of tracks.

Stage: import (audit fold) and snapshot (training folds). A split in which two tracks of one
album or family lie on both sides inflates average precision by a tenth, so everything here
works on *split groups*. Numpy and hashlib only; nothing depends on the order of the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import LabelMatrix


def split_groups(
    pairs: Iterable[tuple[Hashable, str | None, str | None]],
) -> dict[Hashable, str]:
    """Name the split group of each track: tracks that share a family or an album, transitively.

    Parameters
    ----------
    pairs : (track key, family key, album key) of each track; None or "" joins nothing. Two
        albums with one title are one album unless the caller's album keys differ.

    Returns
    -------
    dict of track key -> group name. The name is the smallest of "album:...", "family:..." and
    "track:..." in the group, so it stays the same when tracks join a known album.

    Examples
    --------
    >>> split_groups([(1, None, "Blue"), (2, "f", "Blue"), (3, "f", None), (4, "", "")])
    {1: 'album:Blue', 2: 'album:Blue', 3: 'album:Blue', 4: 'track:4'}
    """
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    tracks: dict[Hashable, str] = {}
    for key, family, album in pairs:
        tracks[key] = f"track:{key}"
        for other in (f"family:{family}" if family else "", f"album:{album}" if album else ""):
            low, high = sorted((find(tracks[key]), find(other or tracks[key])))
            parent[high] = low
    return {key: find(node) for key, node in tracks.items()}


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def audit_groups(
    group_keys: Sequence[str],
    sizes: Sequence[int],
    share: float = 0.2,
    at_least: int = 8,
    already: Collection[str] = (),
) -> set[str]:
    """Choose the groups that are only used for evaluation: those with the smallest sha256.

    1. Groups in `already` stay.
    2. Groups are added in the order of their hash until they hold `share` of the tracks; a
       group that alone holds more than that is skipped.
    3. Groups are added in the same order until there are `at_least`.
    4. No more than half of the groups are ever taken, apart from those in `already`.

    Parameters
    ----------
    group_keys, sizes : one name and one number of tracks per group.
    share : share of all tracks, in [0, 1].
    at_least : number of groups.
    already : names of groups chosen earlier.

    Returns
    -------
    set of group names; empty with fewer than two groups.

    Raises
    ------
    ParameterError : `share` is outside [0, 1].

    Examples
    --------
    >>> names = [f"album:{number}" for number in range(10)]
    >>> sorted(audit_groups(names, [5] * 10, share=0.2, at_least=2))
    ['album:1', 'album:7']
    """
    if not 0 <= share <= 1:
        raise ParameterError(f"share is {share}; it must lie in [0, 1]")
    if share == 0:
        return set(already) & set(group_keys)
    size_of = dict(zip(group_keys, sizes, strict=True))
    ordered = sorted(size_of, key=_hash)
    wanted = share * sum(size_of.values())
    chosen = set(already) & set(size_of)
    taken = sum(size_of[key] for key in chosen)
    for key in ordered:
        if taken >= wanted or 2 * (len(chosen) + 1) > len(ordered):
            break
        if key not in chosen and size_of[key] <= wanted:
            chosen.add(key)
            taken += size_of[key]
    rest = [key for key in ordered if key not in chosen]
    missing = min(at_least, len(ordered) // 2) - len(chosen)
    return chosen | set(rest[: max(0, missing)])


def track_random_key(library_uid: str, key: str) -> int:
    """Return the permanent place of a track in the random order: 63 bits of sha256.

    The library is part of the hash, so the same file has another place in another library.

    Parameters
    ----------
    library_uid : identifier of the library.
    key : key of the track in its library.

    Returns
    -------
    int in 0 .. 2**63 - 1.

    Examples
    --------
    >>> 0 <= track_random_key("library", "a.mp3") < 2**63
    True
    """
    digest = hashlib.sha256(f"{library_uid}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def grouped_folds(
    labels: LabelMatrix, groups: npt.NDArray[Any], n_folds: int, seed: int = 0
) -> npt.NDArray[np.intp]:
    """Assign each track to a fold so that labels are spread evenly and no group is divided.

    Iterative stratification [1]_ over groups: the label with the fewest unassigned positives is
    distributed first; each of its groups (largest first) goes to the fold that needs it most.

    Parameters
    ----------
    labels : labels of the tracks.
    groups : (n_tracks,) group of each track, of any sortable type.
    n_folds : 2 to the number of groups.
    seed : seed for ties.

    Returns
    -------
    int array (n_tracks,), 0 to n_folds - 1; no fold is empty.

    Raises
    ------
    ParameterError : `groups` is not one per track, or `n_folds` is out of range.

    References
    ----------
    .. [1] Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data",
       ECML PKDD 2011.

    Examples
    --------
    >>> given = np.array([[True], [True], [False], [False]])
    >>> labels = LabelMatrix(given, np.ones((4, 1), bool))
    >>> folds = grouped_folds(labels, np.array(["a", "b", "c", "d"]), 2)
    >>> sorted(folds[:2].tolist()), sorted(folds[2:].tolist())
    ([0, 1], [0, 1])
    """
    names, inverse = np.unique(groups, return_inverse=True)
    inverse = inverse.reshape(-1)
    if len(inverse) != labels.n_tracks:
        raise ParameterError(
            f"groups has {len(inverse)} entries; it needs one per track ({labels.n_tracks})"
        )
    if not 2 <= n_folds <= len(names):
        raise ParameterError(
            f"n_folds is {n_folds}; it must lie in 2..{len(names)} (the number of groups)"
        )
    counts = np.zeros((len(names), labels.n_labels))
    np.add.at(counts, inverse, labels.labels & labels.label_mask)
    sizes = np.bincount(inverse).astype(float)
    return _deal(counts, sizes, n_folds, np.random.default_rng(seed))[inverse]


def _deal(
    counts: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
    n_folds: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    folds = np.full(len(sizes), -1)
    wanted = np.tile(counts.sum(axis=0) / n_folds, (n_folds, 1))
    room = np.full(n_folds, sizes.sum() / n_folds)
    left = counts.sum(axis=0)
    placed = np.zeros(n_folds, dtype=int)
    n_unplaced = len(sizes)
    while n_unplaced:
        label = int(np.argmin(np.where(left > 0, left, np.inf))) if left.any() else None
        weight = sizes if label is None else counts[:, label]
        open_groups = np.flatnonzero((folds < 0) & (weight > 0))
        order = np.lexsort((rng.random(len(open_groups)), -weight[open_groups]))
        for group in open_groups[order]:
            desire = room if label is None else wanted[:, label]
            fold = _most_wanting(desire, room, placed == 0, n_unplaced, rng)
            folds[group] = fold
            placed[fold] += 1
            wanted[fold] -= counts[group]
            room[fold] -= sizes[group]
            left = left - counts[group]
            n_unplaced -= 1
    return folds


def _most_wanting(
    desire: npt.NDArray[np.float64],
    room: npt.NDArray[np.float64],
    is_empty: npt.NDArray[np.bool_],
    n_unplaced: int,
    rng: np.random.Generator,
) -> int:
    """Return the fold by need, then room, then chance; the last groups fill empty folds."""
    n_folds = len(desire)
    allowed = is_empty if is_empty.sum() >= n_unplaced else np.ones(n_folds, bool)
    order = np.lexsort((rng.random(n_folds), -room, -desire, ~allowed))
    return int(order[0])
