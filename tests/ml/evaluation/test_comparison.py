"""Runs on the same held-out tracks: what is common, and the intervals of the difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.evaluation.comparison import (
    BETTER,
    NOT_COMPARABLE,
    UNDECIDED,
    WORSE,
    affordable_resamples,
    common,
    compare,
    comparison_verdict,
    paired_differences,
    side_of,
)
from ml.evaluation.record import LabelName
from ml.evaluation.resampling import rows_of
from ml.metrics.paired import paired_bootstrap
from ml.metrics.scores import evaluate
from ml.types import LabelMatrix
from tests.ml.records import make_record


def better(record, by=1.0):
    """The same record with scores that know more."""
    mean = record.reference.labels.mean(axis=0)
    logits = record.logits + by * (record.reference.labels - mean)
    return replace(
        record,
        logits=logits.astype(np.float32),
        probabilities=(1 / (1 + np.exp(-logits))).astype(np.float32),
    )


@pytest.fixture
def record():
    return make_record(200, 4)


def test_differences_are_those_of_the_metrics(record):
    other = better(record)
    found = compare([record, other], n_resamples=300, seed=3)
    expected = paired_bootstrap(
        other.probabilities, record.probabilities, record.reference,
        groups=record.groups, n_resamples=300, seed=3,
    )  # fmt: skip
    assert found["runs"][1]["differences"]["macro_ap"] == pytest.approx(expected)
    assert found["runs"][1]["verdict"] == BETTER
    assert found["runs"][0]["differences"] is None
    alone = evaluate(
        other.probabilities, other.reference, other.thresholds[0],
        prior=record.prior[0], n_bootstrap=0,
    )  # fmt: skip
    for name, value in found["runs"][1]["figures"].items():
        assert value == pytest.approx(alone[name])
    assert (found["n"], found["labels_compared"], found["message"]) == (200, 4, "")


def test_two_models_compare_as_their_records_do(record):
    other = better(record)
    sides = [side_of(one.probabilities, one.thresholds[0]) for one in (record, other)]
    gaps = paired_differences(
        *sides, record.reference, record.prior[0], record.groups, n_resamples=100
    )
    assert gaps == compare([record, other], n_resamples=100)["runs"][1]["differences"]


def test_the_other_way_round_it_is_worse(record):
    found = compare([better(record), record], n_resamples=300)
    assert found["runs"][1]["verdict"] == WORSE
    assert found["runs"][1]["verdict_by_skill"] == WORSE


def test_a_run_is_not_told_apart_from_itself(record):
    found = compare([record, record], n_resamples=50)
    assert found["runs"][1]["verdict"] == UNDECIDED
    for name in ("macro_ap", "bce_skill", "lwlrap", "macro_f1"):
        assert found["runs"][1]["differences"][name] == {"difference": 0, "lo": 0, "hi": 0}


def test_runs_are_compared_by_skill_and_on_the_same_frequent_labels(record):
    found = compare([record, better(record)], n_resamples=50)
    first, other = found["runs"]
    assert (first["verdict_by_skill"], other["verdict_by_skill"]) == (None, BETTER)
    assert (
        found["labels_10"] == first["headline"]["labels_10"] == other["headline"]["labels_10"]
    )
    gap = other["headline_differences"]["skill"]
    assert gap["difference"] == pytest.approx(
        other["headline"]["skill"] - first["headline"]["skill"]
    )
    assert gap["lo"] > 0
    assert first["headline"]["baseline"] == other["headline"]["baseline"]


def test_only_tracks_that_all_held_out_count_in_whatever_order(record):
    first = rows_of(record, np.arange(150))
    second = rows_of(better(record), np.random.default_rng(0).permutation(200)[:170])
    rows, _ = common([first, second])
    assert first.track_uids[rows[0]].tolist() == second.track_uids[rows[1]].tolist()
    shared = set(first.track_uids.tolist()) & set(second.track_uids.tolist())
    assert len(rows[0]) == len(shared) < 150
    found = compare([first, second], n_resamples=50)
    assert found["n"] <= len(shared)
    assert found["tracks"] == [150, 170]
    expected = compare(
        [rows_of(record, rows[0]), rows_of(better(record), rows[0])], n_resamples=50
    )
    assert found["runs"][1]["figures"] == pytest.approx(expected["runs"][1]["figures"])


def test_only_labels_that_all_know_count(record):
    names = [*record.labels[:2], LabelName("others", "Others"), record.labels[3]]
    found = compare([record, replace(record, labels=tuple(names))], n_resamples=20)
    assert [row["uid"] for row in found["labels"]] == ["uid0", "uid1", "uid3"]
    assert len(found["labels"][0]["ap"]) == 2
    assert list(found["precision_recall"]) == ["uid0", "uid1", "uid3"]


@pytest.fixture
def folding(record):
    """Return runs whose last label is an Others with these labels."""

    def made(labels, *, facet="", name="Others", judged=None):
        whole = record.reference
        reference = LabelMatrix(whole.labels.copy(), whole.label_mask.copy())
        reference.labels[:, 3] = labels
        reference.label_mask[:, 3] = True if judged is None else judged
        names = (*record.labels[:3], LabelName("uid5 of the facet", name, facet))
        return replace(record, reference=reference, labels=names)

    return made


RARE = np.arange(200) % 5 == 0


@pytest.mark.parametrize(
    ("labels", "judged"),
    [(np.arange(200) % 7 == 0, None), (RARE, np.arange(200) > 0)],
    ids=["other labels", "judged elsewhere"],
)
def test_an_others_made_of_other_labels_is_not_compared(folding, labels, judged):
    found = compare([folding(RARE), folding(labels, judged=judged)], n_resamples=20)
    assert [row["uid"] for row in found["labels"]] == ["uid0", "uid1", "uid2"]
    assert list(found["precision_recall"]) == ["uid0", "uid1", "uid2"]
    assert (found["labels_compared"], found["message"]) == (3, "")
    assert found["differing"] == [0, 0]


def test_an_others_made_of_the_same_labels_is_compared(folding):
    found = compare([folding(RARE), folding(RARE)], n_resamples=20)
    assert (found["labels_compared"], found["labels"][3]["name"]) == (4, "Others")
    elsewhere = np.arange(200) < 100
    changed = folding(np.where(elsewhere, RARE, ~RARE))
    rows = np.flatnonzero(elsewhere)
    found = compare([folding(RARE), rows_of(changed, rows)], n_resamples=20)
    assert found["labels_compared"] == 4, "the answers differ on no common track"


@pytest.mark.parametrize("names", [{"facet": "genre"}, {"name": "Rock"}])
def test_a_label_of_the_library_is_compared_though_answers_changed(folding, names):
    found = compare([folding(RARE, **names), folding(~RARE, **names)], n_resamples=20)
    assert found["labels_compared"] == 4
    assert found["differing"] == [0, 200]


def test_runs_that_share_but_an_others_have_no_label_in_common(folding):
    runs = [folding(RARE), folding(~RARE)]
    others = tuple(LabelName(f"other{n}", f"Other {n}", "genre") for n in range(3))
    runs[1] = replace(runs[1], labels=(*others, runs[1].labels[3]))
    found = compare(runs, n_resamples=20)
    assert found["labels_compared"] == 0
    assert "no label in common (Others" in found["message"]
    assert found["runs"][1]["verdict"] == NOT_COMPARABLE


def test_answers_that_changed_are_counted_and_the_reference_decides(record):
    changed = record.reference.labels.copy()
    judged = record.reference.label_mask
    changed[0] ^= judged[0]
    newer = replace(record, reference=LabelMatrix(changed, judged))
    found = compare([record, newer], reference=1, n_resamples=20)
    assert found["differing"] == [int(judged[0].sum()), 0]
    assert found["labels"][0]["support"] == (changed & judged)[:, 0].sum()


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (make_record(200, 4, track_uids=np.array([b"%d" % n for n in range(200)])), "no track"),
        (make_record(200, 4, labels=tuple(LabelName(c, c) for c in "abcd")), "no label"),
        (rows_of(make_record(200, 4), np.arange(5)), "only 5 common"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(record, second, said):
    found = compare([record, second], n_resamples=20)
    assert said in found["message"]
    assert found["runs"][1]["verdict"] == NOT_COMPARABLE


@pytest.mark.parametrize(
    ("n_groups", "said"),
    [(1, "from 1 split group only; at least 3 are"), (2, "from 2 split groups only"), (3, "")],
)
def test_tracks_of_a_few_groups_are_told_apart_by_nothing(record, n_groups, said):
    record = replace(record, groups=np.arange(200) % n_groups)
    found = compare([record, better(record, by=3.0)], n_resamples=50)
    gaps, verdict = found["runs"][1]["differences"], found["runs"][1]["verdict"]
    assert said in found["message"]
    if n_groups == 3:
        assert (found["message"], verdict) == ("", BETTER)
        return
    assert verdict == NOT_COMPARABLE
    for gap in [*gaps.values(), *(row["differences"][1] for row in found["labels"])]:
        assert gap["difference"] > 0
        assert (gap["lo"], gap["hi"]) == (None, None)


def test_a_labels_share_is_of_the_tracks_that_it_was_judged_on(record):
    """Not asked is not a "no": the baseline would be too low."""
    mask = np.ones_like(record.reference.labels)
    mask[40:, 1] = False
    judged = LabelMatrix(record.reference.labels & mask, mask)
    record = replace(record, reference=judged)
    rows = compare([record, record], n_resamples=20)["labels"]
    positives = judged.labels.sum(axis=0)
    assert [row["support"] for row in rows] == positives.tolist()
    assert [row["prevalence"] for row in rows] == pytest.approx(
        (positives / [200, 40, 200, 200]).tolist()
    )


def test_a_label_without_a_positive_has_no_difference(record):
    record.reference.labels[:, 1] = False
    row = compare([record, better(record)], n_resamples=20)["labels"][1]
    assert row["ap"] == [None, None]
    assert row["differences"][1] == {"difference": None, "lo": None, "hi": None}


def test_one_record_is_no_comparison(record):
    with pytest.raises(ParameterError):
        compare([record])


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.01, 0.2, 50, BETTER),
        (-0.2, -0.01, 50, WORSE),
        (-0.1, 0.1, 50, UNDECIDED),
        (0.01, 0.2, 7, NOT_COMPARABLE),
        (None, None, 50, NOT_COMPARABLE),
    ],
)
def test_what_is_beyond_doubt(low, high, n, expected):
    assert comparison_verdict({"difference": 0.0, "lo": low, "hi": high}, n) == expected


def test_large_sets_are_resampled_less_often():
    assert affordable_resamples(100, 10) == 1_000
    assert 200 <= affordable_resamples(10_000, 30) < 1_000
    assert affordable_resamples(10**6, 55) == 200
