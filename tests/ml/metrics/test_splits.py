"""Groups, the audit side, the random order and folds."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import ParameterError
from ml.metrics.splits import audit_groups, grouped_folds, split_groups, track_random_key
from ml.types import LabelMatrix


def everything(labels):
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


def test_family_and_album_join_transitively():
    groups = split_groups(
        [
            ("a", "f1", "Sea"),
            ("b", None, "Sea"),
            ("c", "f1", "Sky"),
            ("d", "", "Sky"),
            ("e", None, None),
            ("f", "f2", ""),
        ]
    )
    assert groups == {
        "a": "album:Sea",
        "b": "album:Sea",
        "c": "album:Sea",
        "d": "album:Sea",
        "e": "track:e",
        "f": "family:f2",
    }


def test_a_family_and_an_album_of_one_name_stay_apart():
    groups = split_groups([("a", "x", None), ("b", None, "x"), ("x", None, None)])
    assert len(set(groups.values())) == 3


names = st.one_of(st.none(), st.sampled_from("pqrstu"))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(names, names), max_size=30), st.randoms())
def test_groups_do_not_depend_on_the_order_of_the_rows(rows, random):
    keyed = [(str(n), *row) for n, row in enumerate(rows)]
    shuffled = random.sample(keyed, len(keyed))
    groups = split_groups(keyed)
    assert split_groups(shuffled) == groups
    for column in (1, 2):
        for name in {row[column] for row in keyed} - {None}:
            assert len({groups[row[0]] for row in keyed if row[column] == name}) == 1


def test_audit_takes_the_smallest_hashes_up_to_the_share():
    keys = [f"g{n}" for n in range(100)]
    chosen = audit_groups(keys, [1] * 100)
    by_hash = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    assert chosen == set(by_hash[:20])


@pytest.mark.parametrize(
    ("n_groups", "expected"), [(0, 0), (1, 0), (2, 1), (6, 3), (16, 8), (20, 8), (80, 16)]
)
def test_audit_has_at_least_eight_groups_but_never_more_than_half(n_groups, expected):
    keys = [f"g{n}" for n in range(n_groups)]
    assert len(audit_groups(keys, [3] * n_groups)) == expected


def test_a_group_larger_than_the_whole_share_is_passed_over():
    keys = [f"g{n}" for n in range(50)]
    first = min(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())
    sizes = [200 if key == first else 4 for key in keys]
    chosen = audit_groups(keys, sizes)
    held = sum(size for key, size in zip(keys, sizes, strict=True) if key in chosen)
    assert first not in chosen
    assert held == pytest.approx(0.2 * sum(sizes), abs=4)


def test_what_is_audited_stays_so_when_the_library_grows():
    keys = [f"g{n}" for n in range(300)]
    before = audit_groups(keys[:100], [1] * 100)
    after = audit_groups(keys, [1] * 300, already=before)
    assert before < after
    assert len(after) == 60


def test_no_share_is_no_audit_and_a_bad_share_is_refused():
    assert audit_groups(["a", "b"], [1, 1], share=0) == set()
    with pytest.raises(ParameterError, match="share"):
        audit_groups(["a"], [1], share=1.5)


@pytest.mark.parametrize("n_tracks", [80, 5_000])
def test_the_audit_side_is_a_fair_sample(n_tracks):
    """Label rate of the audit side against the truth, over 60 libraries: no lean either way."""
    rng = np.random.default_rng(2)
    deviations = []
    for library in range(60):
        album = rng.integers(0, n_tracks // 4, n_tracks)
        labels = rng.random(n_tracks) < 0.2
        keys = [f"{library}:{name}" for name in range(n_tracks // 4)]
        sizes = np.bincount(album, minlength=n_tracks // 4)
        chosen = audit_groups(keys, sizes.tolist())
        held = np.array([keys[name] in chosen for name in album])
        error = np.sqrt(labels.mean() * (1 - labels.mean()) / held.sum())
        deviations.append((labels[held].mean() - labels.mean()) / error)
    assert abs(np.mean(deviations)) < 3 / np.sqrt(60)
    assert max(np.abs(deviations)) < 3.5


def test_the_random_key_is_63_bit_uniform_and_differs_by_library():
    keys = np.array([track_random_key("library", f"track{n}") for n in range(4_000)])
    assert keys.min() >= 0
    assert keys.max() < 2**63
    counts = np.bincount((keys // 2**59).astype(int), minlength=16)
    assert ((counts - 250) ** 2 / 250).sum() < 37.7  # chi-squared, 15 degrees, p = .001
    assert track_random_key("library", "a") != track_random_key("other", "a")
    digest = hashlib.sha256(b"library\x00a").digest()
    assert track_random_key("library", "a") == int.from_bytes(digest[:8], "big") // 2


def test_no_group_straddles_and_no_fold_is_empty():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 400)
    folds = grouped_folds(everything(rng.random((400, 8)) < 0.1), groups, 5)
    assert set(folds.tolist()) == set(range(5))
    for group in np.unique(groups):
        assert len(set(folds[groups == group].tolist())) == 1


def test_rare_labels_are_spread_better_than_by_chance():
    """Figure-1-like prevalences, 3,000 tracks: worst relative error of a fold's label rate."""
    rng = np.random.default_rng(1)
    prevalence = 0.3 / np.arange(1, 31)
    labels = rng.random((3_000, 30)) < prevalence
    folds = grouped_folds(everything(labels), np.arange(3_000), 5)

    def worst(folds):
        rates = np.array([labels[folds == fold].mean(axis=0) for fold in range(5)])
        return np.abs(rates / labels.mean(axis=0) - 1).max()

    assert worst(folds) < 0.2  # 5.2 positives a fold: 6 is already .15
    assert worst(rng.integers(0, 5, 3_000)) > 0.4
    assert np.bincount(folds).tolist() == pytest.approx([600] * 5, abs=30)


def test_every_fold_has_a_label_that_just_has_enough_groups():
    labels = np.zeros((50, 2), bool)
    labels[:5, 0] = True
    labels[5:10, 1] = True
    folds = grouped_folds(everything(labels), np.arange(50), 5, seed=4)
    for label in range(2):
        assert sorted(folds[labels[:, label]].tolist()) == [0, 1, 2, 3, 4]


def test_folds_repeat_with_the_seed_and_move_with_it():
    labels = everything(np.random.default_rng(3).random((100, 4)) < 0.2)
    first = grouped_folds(labels, np.arange(100), 4, seed=1)
    np.testing.assert_array_equal(first, grouped_folds(labels, np.arange(100), 4, seed=1))
    assert (first != grouped_folds(labels, np.arange(100), 4, seed=2)).any()


def test_as_many_folds_as_groups_puts_one_group_in_each():
    groups = np.array(["a", "a", "b", "c"])
    folds = grouped_folds(everything(np.zeros((4, 1))), groups, 3)
    assert len({folds[0], folds[2], folds[3]}) == 3


@pytest.mark.parametrize("n_folds", [1, 4])
def test_impossible_numbers_of_folds_are_refused(n_folds):
    with pytest.raises(ParameterError, match="n_folds"):
        grouped_folds(everything(np.zeros((4, 1))), np.array([1, 1, 2, 3]), n_folds)
    with pytest.raises(ParameterError, match="groups"):
        grouped_folds(everything(np.zeros((4, 1))), np.array([1, 1, 2]), 2)
