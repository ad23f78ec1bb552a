"""Selection by criteria: sources, uploads, guideline versions, current and legacy."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from labeling.errors import BadInput
from labeling.loop.datasets import criteria, read, snapshots
from labeling.loop.datasets.arrays import build_arrays
from labeling.loop.datasets.selection import Selection, describe_selection
from labeling.loop.events.alternate_mixes import propagate
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import (
    EraCut,
    GuidelineVersion,
    ImportBatch,
    Membership,
    Snapshot,
)
from tests.answers import day, say
from tests.factories import (
    make_annotator,
    make_labels,
    make_library,
    make_track,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def labels(library):
    return make_labels(library)


@pytest.fixture
def ana(library):
    return make_annotator(library, "Ana")


@pytest.fixture
def catalogue(library):
    return make_annotator(library, "Catalogue", kind="legacy")


def publish(library, number, at):
    return GuidelineVersion.objects.create(
        library=library, number=number, text=f"v{number}", published_at=day(at)
    )


def cut(annotator, at, *, label=None, facet=None, kind="declared"):
    return EraCut.objects.create(
        annotator=annotator, at=day(at), label=label, facet=facet, kind=kind, reason="r"
    )


def said(library, **selection):
    """Return what a selection says: track key -> labels given."""
    got = build_arrays(library, Selection(**{"min_support": 1, **selection}))
    keys = dict(library.tracks.values_list("pk", "key"))
    names = [one["name"] for one in got.facts["labels"]]
    given = got.matrix.labels & got.matrix.label_mask
    return {
        keys[track]: [name for name, there in zip(names, row, strict=True) if there]
        for track, row in zip(got.track_ids.tolist(), given.tolist(), strict=True)
    }


class TestSources:
    @pytest.fixture
    def history(self, library, labels, ana, catalogue):
        ambient, drone, rock = labels
        one, two, mix = (make_track(library, key) for key in ("one", "two", "mix"))
        say(catalogue, one, [ambient], offered=labels, kind="imported", at="2015-01-01")
        look = say(ana, two, [drone], offered=labels, at="2024-01-01")
        say(ana, two, [rock], offered=labels, kind="revision", revises=look, at="2024-01-02")
        propagate(say(ana, one, [rock], offered=labels, at="2024-02-01"), [mix])
        say(ana, two, [ambient], offered=labels, kind="adjudication", at="2024-03-01")

    @pytest.mark.parametrize(
        ("sources", "expected"),
        [
            (("imported",), {"one": ["Ambient"]}),
            (("judgement",), {"one": ["Rock"], "two": ["Rock"]}),
            (("propagated",), {"mix": ["Rock"]}),
            (("adjudication",), {"two": ["Ambient"]}),
            (("imported", "propagated"), {"one": ["Ambient"], "mix": ["Rock"]}),
        ],
    )
    def test_only_what_came_about_so(self, library, history, sources, expected):
        assert said(library, sources=sources) == expected

    def test_unknown_source(self, library):
        with pytest.raises(BadInput, match="no source 'rumour'"):
            snapshots.take_snapshot(library, Selection(sources=("rumour",)))


def test_uploads_are_told_apart(library, tmp_path):
    batches = []
    for name, genre in (("first", "Ambient"), ("second", "Drone")):
        file = tmp_path / f"{name}.csv"
        file.write_text(f"filename,genre\n{name}.mp3,{genre}\nshared.mp3,{genre}\n")
        batch = ImportBatch.objects.create(library=library, file_name=name, stored_as=name)
        import_catalogue(library.slug, file, ImportOptions(), batch_id=batch.pk)
        batches.append(batch.pk)
    library.tracks.update(is_audit=False)
    assert said(library, batches=(batches[0],)) == {
        "first.mp3": ["Ambient"], "shared.mp3": ["Ambient"],  # also what was replaced later
    }  # fmt: skip
    assert said(library, batches=(batches[1],)) == {
        "second.mp3": ["Drone"], "shared.mp3": ["Drone"],
    }  # fmt: skip
    assert set(said(library, batches=tuple(batches))) == {
        "first.mp3", "second.mp3", "shared.mp3",
    }  # fmt: skip
    with pytest.raises(BadInput, match="has no import 999"):
        snapshots.take_snapshot(library, Selection(batches=(999,)))


def test_several_guideline_versions(library, labels, ana):
    for number in (1, 2):
        publish(library, number, f"202{number}-01-01")
    for number, label in enumerate(labels):
        say(ana, make_track(library, f"{number}"), [label], offered=labels, guideline=number)
    assert set(said(library, guidelines=(0, 2))) == {"0", "2"}
    assert set(said(library, guidelines=(1,))) == {"1"}


class TestCurrent:
    """Ana works under guideline 2 and changed her criteria; a catalogue and Ben came before."""

    @pytest.fixture(autouse=True)
    def history(self, library, labels, ana, catalogue):
        ambient, drone, rock = labels
        publish(library, 1, "2020-01-01")
        publish(library, 2, "2023-01-01")
        self.ben = make_annotator(library, "Ben")
        self.tracks = {
            key: make_track(library, key)
            for key in ("old", "ben", "early", "before", "after", "both")
        }
        tracks = self.tracks
        say(catalogue, tracks["old"], [rock], offered=labels, kind="imported", at="2012-01-01")
        say(self.ben, tracks["ben"], [drone], offered=labels, at="2021-01-01", guideline=1)
        say(ana, tracks["early"], [drone], offered=labels, at="2022-01-01", guideline=1)
        say(ana, tracks["before"], [ambient], offered=labels, at="2023-02-01", guideline=2)
        say(ana, tracks["both"], [ambient], offered=labels, at="2023-02-02", guideline=2)
        say(ana, tracks["after"], [drone], offered=labels, at="2024-02-01", guideline=2)
        say(ana, tracks["both"], [rock], offered=labels, at="2024-02-02", guideline=2)

    def test_without_a_cut_the_guideline_decides(self, library):
        assert said(library, criteria="current") == {
            "before": ["Ambient"], "after": ["Drone"], "both": ["Rock"],
        }  # fmt: skip
        assert said(library, criteria="legacy") == {
            "old": ["Rock"], "ben": ["Drone"], "early": ["Drone"],
        }  # fmt: skip

    def test_declared_cut_begins_the_present_criteria(self, library, ana):
        cut(ana, "2023-12-01")
        cut(self.ben, "2023-12-01")
        assert said(library, criteria="current") == {"after": ["Drone"], "both": ["Rock"]}
        legacy = said(library, criteria="legacy")
        # Her earlier answer to the same track counts as legacy.
        assert legacy["both"] == ["Ambient"]
        assert set(legacy) == {"old", "ben", "early", "before", "both"}

    def test_last_cut_counts_and_one_that_was_only_detected_does_not(self, library, ana):
        cut(ana, "2023-12-01")
        cut(ana, "2022-06-01")
        cut(ana, "2024-12-01", kind="detected")
        assert set(said(library, criteria="current")) == {"after", "both"}

    def test_cut_of_one_label_moves_that_label_only(self, library, labels, ana):
        cut(ana, "2023-12-01", label=labels[0])
        current = build_arrays(library, Selection(criteria="current", min_support=1))
        names = [one["name"] for one in current.facts["labels"]]
        assert names == ["Drone", "Rock"]  # nobody gave Ambient since
        legacy = said(library, criteria="legacy")
        assert legacy["before"] == legacy["both"] == ["Ambient"]
        assert "after" not in legacy

    def test_every_judgement_is_on_one_side(self, library, labels, ana):
        cut(ana, "2023-12-01", label=labels[1])
        cut(ana, "2023-03-01", facet=labels[0].facet)
        whole, sides = ({}, {})
        for side, into in (("all", whole), ("legacy", sides), ("current", sides)):
            table = read.read_answer_table(library, Selection(criteria=side))
            for row, (annotator, track) in enumerate(
                zip(table.annotators.tolist(), table.tracks.tolist(), strict=True)
            ):
                for column in range(3):
                    if table.matrix.label_mask[row, column]:
                        into.setdefault((annotator, track, column), []).append(side)
        # Of a track judged twice, the older look is legacy; "all" has the newest only.
        assert set(whole) <= set(sides)
        both = self.tracks["both"].pk
        twice = {key for key, on in sides.items() if len(on) > 1}
        assert {track for _, track, _ in twice} <= {both}

    @pytest.mark.parametrize("how", ["disabled", "no member"])
    def test_who_has_left_is_no_current_curator(self, library, labels, how):
        user = make_user("cora", library=library)
        cora = make_annotator(library, "Cora", user=user)
        track = make_track(library, "cora's")
        say(cora, track, [labels[0]], offered=labels, at="2024-05-01", guideline=2)
        assert "cora's" in said(library, criteria="current")
        if how == "disabled":
            User.objects.filter(pk=user.pk).update(is_active=False)
        else:
            Membership.objects.filter(user=user).delete()
        assert "cora's" not in said(library, criteria="current")
        assert "cora's" in said(library, criteria="legacy")

    def test_nobody_under_a_new_guideline(self, library):
        publish(library, 3, "2025-01-01")
        for side in ("current", "legacy"):
            with pytest.raises(BadInput, match=r"nobody is a current curator.*guideline 3"):
                build_arrays(library, Selection(criteria=side))

    def test_snapshot_keeps_what_the_words_meant(self, library, labels, ana):
        cut(ana, "2023-12-01")
        selection = Selection(criteria="current", min_support=1)
        first = snapshots.take_snapshot(library, selection)
        present = first.facts["present"]
        assert present["curators"] == ["Ana"]
        assert present["guideline"] == 2
        assert present["changes"] == [
            {"annotator": "Ana", "since": "2023-12-01T00:00:00+00:00", "of": "everything"}
        ]
        assert first.facts["annotators"] == [
            {"annotator": "Ana", "kind": "person", "answers": 2, "tracks": 2, "labels": 2}
        ]
        assert snapshots.take_snapshot(library, selection).pk == first.pk
        # The same answers under another meaning are another snapshot.
        cut(ana, "2024-01-15")
        assert snapshots.take_snapshot(library, selection).pk != first.pk
        assert describe_selection(Selection.of(first.selection)).startswith(
            "the current curator's"
        )


class TestImported:
    """After an import nobody has answered in the page: the newest dated source is current."""

    def test_newest_dated_source(self, library, labels):
        for name, year in (("Ben", 2010), ("Ana", 2020)):
            who = make_annotator(library, name, kind="legacy")
            say(
                who, make_track(library, name), [labels[0]], offered=labels, kind="imported",
                at=f"{year}-01-01",
            )  # fmt: skip
        assert set(said(library, criteria="current")) == {"Ana"}
        assert set(said(library, criteria="legacy")) == {"Ben"}

    def test_undated_sources(self, library, labels, catalogue):
        say(catalogue, make_track(library, "a"), [labels[0]], offered=labels, kind="imported")
        assert criteria.current_criteria(library).why == "nobody else has answered"
        other = make_annotator(library, "Other", kind="partner")
        say(other, make_track(library, "b"), [labels[0]], offered=labels, kind="imported")
        with pytest.raises(BadInput, match=r"select annotators instead \(Catalogue, Other\)"):
            criteria.current_criteria(library)
        assert Snapshot.objects.count() == 0


class TestAuditIsolation:
    @pytest.fixture
    def history(self, library, labels, ana, catalogue):
        self.train = [make_track(library, f"t{n}") for n in range(12)]
        self.audit = [make_track(library, f"a{n}", is_audit=True) for n in range(8)]
        for number, track in enumerate(self.train):
            say(
                catalogue, track, [labels[number % 2]], offered=labels, kind="imported",
                at="2015-01-01",
            )  # fmt: skip
            say(ana, track, [labels[(number + 1) % 2]], offered=labels, at="2024-01-01")
        for number, track in enumerate(self.audit):
            say(
                catalogue, track, [labels[0]], offered=labels, kind="imported",
                at="2014-01-01",
            )  # fmt: skip
            say(ana, track, [labels[number % 2]], offered=labels, at="2024-01-01")

    def arms(self, library, **over):
        return {
            side: build_arrays(
                library,
                Selection(criteria=side, judged_by="current", min_support=2, **over),
            )
            for side in ("all", "legacy", "current")
        }

    def test_all_arms_are_measured_on_the_same_answers(self, library, history):
        arms = self.arms(library)
        current = arms["current"]
        for frozen in arms.values():
            assert frozen.judged_by == "the current curator: Ana"
            assert frozen.track_ids[frozen.is_audit].tolist() == [t.pk for t in self.audit]
            assert (
                frozen.reference.rows(frozen.is_audit.nonzero()[0]).labels.tolist()
                == current.reference.rows(current.is_audit.nonzero()[0]).labels.tolist()
            )
            assert not frozen.reference.label_mask[~frozen.is_audit].any()
        learnt = {
            side: frozen.matrix.labels[~frozen.is_audit].tolist()
            for side, frozen in arms.items()
        }
        assert learnt["legacy"] == [[not a, not b] for a, b in learnt["current"]]

    @pytest.mark.parametrize(
        "over",
        [
            {},
            {"others": "fold", "top_labels": 1},
            {"others": "drop", "top_labels": 1},
            {"combination_cap": 0.2},
            {"criteria": "legacy", "judged_by": "current"},
        ],
    )
    def test_audit_answers_change_nothing_that_is_learnt(self, library, labels, history, over):
        selection = Selection(**{"min_support": 1, **over})
        before = build_arrays(library, selection)
        rock = labels[2]
        hasty = make_annotator(library, "Hasty")
        for track in self.audit:
            say(hasty, track, [rock], offered=labels, at="2024-06-01")
            say(
                make_annotator(library), track, [rock], offered=labels, kind="imported",
                at="2001-01-01",
            )  # fmt: skip
        after = build_arrays(library, selection)
        assert snapshots.label_uids(after) == snapshots.label_uids(before)
        for name in ("labels", "label_mask"):
            was, is_now = (
                getattr(one.matrix, name)[~one.is_audit].tolist() for one in (before, after)
            )
            assert was == is_now


class TestRules:
    """Label rules of a recipe: they change the snapshot only, never the events."""

    def say(self, who, track, yes):
        say(who, track, yes, offered=self.labels, kind="imported")

    @pytest.fixture
    def library(self):
        library = make_library()
        self.labels = make_labels(library, names=("Pop", "Rock", "Jazz", "Polka"))
        who = make_annotator(library, "Legacy", kind="legacy")
        counts = (6, 4, 2, 1)
        for label, count in zip(self.labels, counts, strict=True):
            for number in range(count):
                key = f"{label.name} {number}"
                say(
                    who, make_track(library, key), [label], offered=self.labels, kind="imported"
                )
        say(
            who,
            make_track(library, "two"),
            self.labels[2:],
            offered=self.labels,
            kind="imported",
        )
        return library

    def test_top_labels_stand_and_a_track_has_others_once(self, library):
        got = said(library, top_labels=2, others="fold")
        assert {tuple(labels) for labels in got.values()} == {("Pop",), ("Rock",), ("Others",)}
        assert got["two"] == ["Others"]
        assert sum(labels == ["Others"] for labels in got.values()) == 4

    def test_tracks_of_dropped_labels_alone_are_left_out(self, library):
        got = said(library, top_labels=2, others="drop")
        assert {tuple(labels) for labels in got.values()} == {("Pop",), ("Rock",)}
        assert "two" not in got

    def test_frequent_combinations_are_thinned_but_no_rare_label(self, library):
        got = said(library, combination_cap=0.15, rare_share=0.2)
        by = [labels[0] for labels in got.values()]
        # 14 tracks: two of a combination stay; Polka is on 2, under a fifth.
        assert (by.count("Pop"), by.count("Rock")) == (2, 2)
        assert sum("Polka" in labels for labels in got.values()) == 2
        assert sum("Jazz" in labels for labels in got.values()) == 3

    def test_numbers_that_cannot_be(self, library):
        for over in ({"top_labels": -1}, {"combination_cap": 2.0}, {"rare_share": -0.1}):
            with pytest.raises(BadInput):
                snapshots.take_snapshot(library, Selection(**over))
