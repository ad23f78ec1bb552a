"""Training by a recipe, by a selection, and on everybody, legacy and current answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.management import CommandError

from labeling.loop import predictions, retraining
from labeling.loop.consistency import criteria_changes
from labeling.loop.registry import evaluation_records, models
from labeling.models import (
    Job,
    Label,
    ModelVersion,
    PromotionEvent,
    RunGroup,
    Snapshot,
    TrainingRun,
)
from ml.training import recipes
from ml.training.selection_rules import SelectionRules
from ml.types import TrainingConfig
from tests.answers import day
from tests.factories import make_annotator
from tests.planted_library import catalogue, plant
from tests.workers.rounds.world import round_of, run

pytestmark = pytest.mark.django_db

QUICK = replace(
    recipes.AUDIOTAG,
    name="quick",
    training=TrainingConfig(network="pooled-numpy", loss="sqrt-weighted-bce"),
)
FOLDING = replace(
    QUICK, name="folding", selection=SelectionRules(top_labels=1, others="fold", min_support=1)
)
CURRENT = replace(QUICK, name="newest", selection=SelectionRules(annotators="current"))


@pytest.fixture(autouse=True)
def kitchen(monkeypatch):
    for one in (QUICK, FOLDING, CURRENT):
        monkeypatch.setitem(recipes.RECIPES, one.name, one)


@pytest.fixture
def planted():
    return plant()


def refused(library, *arguments):
    with pytest.raises(CommandError) as error:
        run("train", library, "--inline", *arguments)
    assert not Job.objects.filter(kind__in=["train", "compare", "evaluate"]).exists()
    return error.value


def test_run_records_the_recipe_with_its_digest(planted):
    answer = run("train", planted.library, "--recipe", "quick", "--seed", "3", "--inline")
    assert (answer["recipe"], answer["model_version"]) == ("quick", 1)
    row = TrainingRun.objects.get()
    assert row.config["recipe"] == {"name": "quick", "digest": QUICK.digest()}
    learnt_so = TrainingConfig.from_dict(row.config["training"])
    assert learnt_so == replace(QUICK.training, seed=3)
    assert row.seed == 3
    # The same recipe again has nothing to do; another recipe of the same parameters is its own.
    assert run("train", planted.library, "--recipe", "quick", "--seed", "3", "--inline")
    assert TrainingRun.objects.count() == 1
    assert run("train", planted.library, "--seed", "3", "--inline")["run"] != row.pk


def test_unknown_recipe_ends_with_2_and_names_those_there_are(planted):
    error = refused(planted.library, "--recipe", "soup")
    assert error.returncode == 2
    assert "seed-2019, seed-next, audiotag" in str(error)


def test_selection_wins_over_the_recipe(planted):
    run(
        "train", planted.library, "--recipe", "folding", "--others", "drop",
        "--top-labels", "2", "--inline",
    )  # fmt: skip
    selection = Snapshot.objects.get().selection
    assert (selection["others"], selection["top_labels"]) == ("drop", 2)


class TestFolded:
    @pytest.fixture
    def folded(self, planted):
        run("train", planted.library, "--recipe", "folding", "--inline")
        return planted

    def test_events_stay_as_they_are_and_the_model_is_not_promoted(self, folded):
        version = ModelVersion.objects.get()
        known = {label.uid.hex for label in Label.objects.all()}
        assert len(version.label_uids) == 2
        assert len(set(version.label_uids) - known) == 1
        assert set(Label.objects.values_list("name", flat=True)) == {"Ambient", "Drone", "Rock"}
        event = PromotionEvent.objects.get()
        assert (event.kind, version.state) == ("refused", "candidate")
        assert event.reason.startswith("it predicts a label that the library does not have")
        assert models.champion_of(folded.library) is None

    def test_nobody_is_shown_the_label_it_made(self, folded):
        run("predict", folded.library, "--model", "1", "--inline")
        tracks = [track.pk for track in folded.tracks]
        assert predictions.suggestions_for(folded.library, tracks) == {}  # not in use
        # Even promoted by hand it suggests only labels of the library, and ranks by them.
        retraining.roll_back(ModelVersion.objects.get())
        assert run("predict", folded.library, "--inline")["tracks"] == 60
        said = predictions.suggestions_for(folded.library, tracks)
        names = {one["label"] for track in said.values() for one in track}
        assert names == {"Ambient"}
        assert round_of(folded.library)["queue"]["acquire"] > 0

    def test_library_that_has_a_label_others_is_not_shown_this_one_for_it(self):
        planted = plant()
        Label.objects.filter(name="Rock").update(name="Others", name_key="others")
        run("train", planted.library, "--recipe", "folding", "--inline")
        version = ModelVersion.objects.get()
        assert Label.objects.get(name="Others").uid.hex not in version.label_uids
        assert version.state == "candidate"

    def test_it_does_not_count_as_having_learnt_the_answers(self, folded):
        assert retraining.trained_last_at(folded.library) is None
        assert retraining.open_training(folded.library) is None  # but asks for nothing either
        assert round_of(folded.library)["promoted"]


def test_recipe_by_folds_registers_nothing(planted):
    answer = run("train", planted.library, "--recipe", "folding", "--folds", "3", "--inline")
    assert answer["metrics"]["n"] > 40
    assert answer["metrics"]["labels_scored"] == 2
    assert (ModelVersion.objects.count(), TrainingRun.objects.count()) == (0, 0)


def test_recipe_left_to_a_worker(planted):
    answer = run("train", planted.library, "--recipe", "folding", "--no-wait")
    job = Job.objects.get(pk=answer["pending_jobs"][0])
    assert job.arguments["recipe"] == "folding"
    assert job.arguments["selection"]["others"] == "fold"
    with pytest.raises(CommandError, match="is not finished and was requested without recipe"):
        run("train", planted.library, "--recipe", "quick", "--no-wait")


class TestCriteria:
    """Ana says one thing until 2024, and another (each label's neighbour) from then on."""

    @pytest.fixture
    def changed(self):
        planted = plant(n_tracks=90, n_audit=30, answers=False)
        ana = planted.ana = make_annotator(planted.library, "Ana")
        ben = make_annotator(planted.library, "Ben", kind="legacy")
        catalogue(planted, range(90), annotator=ben, shift=1, at="2020-06-01")
        old, new = range(30, 60), [*range(30), *range(60, 90)]
        catalogue(planted, old, annotator=ana, shift=1, kind="judgement", at="2023-06-01")
        catalogue(planted, new, annotator=ana, kind="judgement", at="2024-06-01")
        criteria_changes.declare(planted.library, ana, day("2024-01-01").date(), "new criteria")
        return planted

    def test_recipe_of_the_current_curator_reads_no_other_answer(self, changed):
        run("train", changed.library, "--recipe", "newest", "--inline")
        snapshot = Snapshot.objects.get()
        assert snapshot.facts["annotators"] == [
            {"annotator": "Ana", "kind": "person", "answers": 60, "tracks": 60, "labels": 84}
        ]
        assert snapshot.facts["present"]["changes"][0]["since"].startswith("2024-01-01")
        assert snapshot.split["train"] + snapshot.split["validation"] == 30
        assert ModelVersion.objects.get().metrics["macro_ap"] > 0.75

    def test_each_trains_three_runs_that_are_measured_alike(self, changed):
        answer = run("train", changed.library, "--criteria", "each", "--inline")
        group = RunGroup.objects.get()
        assert answer["group"] == group.pk
        arms = {row.arm: row for row in group.runs.select_related("snapshot", "model")}
        assert set(arms) == {"all", "legacy", "current"}
        assert {row.snapshot.selection["criteria"] for row in arms.values()} == set(arms)
        configs = {str(row.config["training"]) for row in arms.values()}
        assert len(configs) == 1
        for row in arms.values():
            assert row.metrics["judged_by"] == "the current curator: Ana"
            assert row.metrics["n"] == 30
            assert row.state == "done"
        result = group.result
        assert (result["n"], result["labels_compared"]) == (30, 3)
        figures = {one["arm"]: one for one in result["runs"]}
        assert list(figures) == ["all", "legacy", "current"]
        # The neighbour's name for everything: legacy answers mislead, as they were planted to.
        assert figures["current"]["figures"]["macro_ap"] > 0.75  # of 30 tracks
        assert figures["legacy"]["figures"]["macro_ap"] < 0.6
        assert figures["current"]["differences"]["macro_ap"]["lo"] > 0
        assert figures["all"]["differences"] is None

    def test_a_report_names_those_whose_answers_were_learnt_from(self, changed):
        run("train", changed.library, "--criteria", "each", "--inline")
        runs = {row.arm: row for row in RunGroup.objects.get().runs.all()}
        told = {
            arm: evaluation_records.report_of(row.evaluation)["about"]["answers"]["annotators"]
            for arm, row in runs.items()
        }
        assert told["current"] == [{"name": "Ana", "kind": "person", "answers": 30}]
        assert {one["name"]: one["answers"] for one in told["legacy"]} == {"Ben": 60, "Ana": 30}

    def test_none_of_the_three_is_put_in_use(self, changed):
        run("train", changed.library, "--criteria", "each", "--inline")
        assert models.champion_of(changed.library) is None
        assert set(PromotionEvent.objects.values_list("kind", flat=True)) == {"refused"}
        assert retraining.trained_last_at(changed.library) is None

    def test_no_audit_track_is_learnt_from_in_any_arm(self, changed):
        run("train", changed.library, "--criteria", "each", "--recipe", "quick", "--inline")
        learnt = {row.arm: row.config["tracks"] for row in TrainingRun.objects.all()}
        assert learnt == {"all": 60, "legacy": 60, "current": 30}
        assert {row.config["audit_tracks"] for row in TrainingRun.objects.all()} == {30}
        assert {row.config["recipe"]["name"] for row in TrainingRun.objects.all()} == {"quick"}

    def test_a_side_without_answers_ends_it_before_any_training(self, planted):
        with pytest.raises(CommandError, match="legacy: no answer matches") as error:
            run("train", planted.library, "--criteria", "each", "--inline")
        assert error.value.returncode == 2
        assert (TrainingRun.objects.count(), RunGroup.objects.count()) == (0, 0)

    def test_an_arm_that_fails_leaves_no_run_open(self, changed, monkeypatch):
        from workers.stages import training

        fit, calls = training.fit, []

        def failing(*args):
            calls.append(args)
            if len(calls) == 2:
                raise ValueError("the loss became nan")
            return fit(*args)

        monkeypatch.setattr(training, "fit", failing)
        with pytest.raises(CommandError, match="the loss became nan"):
            run("train", changed.library, "--criteria", "each", "--inline")
        assert set(TrainingRun.objects.values_list("state", flat=True)) == {"failed"}
        assert ModelVersion.objects.count() == 0

    def test_what_cannot_be_combined(self, changed):
        run("take_snapshot", changed.library)
        for more in (("--folds", "3"), ("--snapshot", "1")):
            assert refused(changed.library, "--criteria", "each", *more).returncode == 2
        error = refused(changed.library, "--snapshot", "1", "--source", "imported")
        assert "has its own answers" in str(error)

    def test_options_of_a_selection_reach_the_snapshot(self, changed):
        run(
            "train", changed.library, "--annotators", "ana", "--since", "2024-01-01",
            "--source", "judgement", "--guideline", "0", "--inline",
        )  # fmt: skip
        selection = Snapshot.objects.get().selection
        assert selection["annotators"] == ["ana"]
        assert (selection["sources"], selection["guidelines"]) == (["judgement"], [0])
        assert Snapshot.objects.get().facts["annotators"][0]["tracks"] == 60

    def test_round_of_a_selection(self, changed):
        answer = round_of(changed.library, "--criteria", "current")
        assert answer["metrics"]["judged_by"] == "persons: Ana"
        assert Snapshot.objects.get().selection["criteria"] == "current"
