"""Which tracks must stay together, which are audited, and which fold each falls in.

Stage: import (audit side) and snapshot (folds). A split that lets two tracks of one album or
one family straddle it inflates average precision by a tenth, so everything here works on
*split groups*. Numpy and hashlib only; nothing depends on the order in which rows arrive.
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
    """Name the group of each track: tracks joined by a shared family or album, transitively.

    Parameters
    ----------
    pairs : of (track key, family key, album key); None or "" joins nothing. Two albums of
        one title are one album unless the caller's album key tells them apart.

    Returns
    -------
    dict of track key -> group name. The name is the smallest of "album:...", "family:..." and
    "track:..." in the group, so it stays the same when tracks join a known album.
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
    """Choose the groups that only ever measure: those of smallest sha256.

    1. Groups in `already` stay.
    2. Groups are added in the order of their hash until they hold `share` of the tracks; one
       that alone holds more than that is passed over.
    3. Groups are added in the same order until there are `at_least`.
    4. At no time are more than half of the groups taken, except those in `already`.

    Parameters
    ----------
    group_keys, sizes : one name and one number of tracks a group.
    share : of all tracks, in [0, 1]. at_least : number of groups.

    Returns
    -------
    set of group names; empty with fewer than two groups.
    """
    if not 0 <= share <= 1:
        raise ParameterError(f"share {share} must lie in [0, 1]")
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
    """Return the track's place in the random walk: 63 bits of sha256, uniform, for ever.

    The library is hashed in, so the same file lies elsewhere in another library.
    """
    digest = hashlib.sha256(f"{library_uid}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def grouped_folds(
    labels: LabelMatrix, groups: npt.NDArray[Any], n_folds: int, seed: int = 0
) -> npt.NDArray[np.intp]:
    """Give every track a fold so that labels are spread evenly and no group straddles.

    Iterative stratification [1]_ over groups: the label with the fewest unplaced positives is
    dealt out first, each of its groups (largest first) to the fold that wants it most.

    Parameters
    ----------
    labels : what was judged. groups : (n_tracks,) group of each track, of any sortable type.
    n_folds : 2 to the number of groups. seed : of the ties.

    Returns
    -------
    int (n_tracks,), 0 to n_folds - 1; no fold is empty.

    References
    ----------
    .. [1] Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data",
       ECML PKDD 2011.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    inverse = inverse.reshape(-1)
    if len(inverse) != labels.n_tracks:
        raise ParameterError(f"groups ({len(inverse)}) must be one a track ({labels.n_tracks})")
    if not 2 <= n_folds <= len(names):
        raise ParameterError(f"n_folds {n_folds} must lie in 2..{len(names)} (the groups)")
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
    """Choose the fold by desire, then room, then chance; the last groups fill empty folds."""
    n_folds = len(desire)
    allowed = is_empty if is_empty.sum() >= n_unplaced else np.ones(n_folds, bool)
    order = np.lexsort((rng.random(n_folds), -room, -desire, ~allowed))
    return int(order[0])
