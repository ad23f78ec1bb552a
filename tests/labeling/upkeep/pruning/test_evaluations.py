"""Pruning of evaluation records, snapshots and predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.loop.registry import evaluation_records
from labeling.loop.registry import models as registry_models
from labeling.loop.upkeep import prune
from labeling.models import (
    Evaluation,
    PredictionSet,
)
from labeling.models.jobs import JobKind
from tests.factories import make_library, make_user
from tests.labeling.upkeep.pruning.world import (
    NO,
    YES,
    ago,
    evaluations_with_files,
    fold_of,
    numbers_with_files,
    old_job,
    predict,
    run_of,
    snapshot_of,
    snapshots_with_files,
)

pytestmark = pytest.mark.django_db


class TestEvaluations:
    def test_go_with_the_files_of_their_model(self, library, make_model, settings):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        folder = registry_models.model_folder_of(library.models.get(number=1))
        assert prune.prune(library).evaluations == 1
        left = {row.run.model.number for row in evaluations_with_files(library, settings)}
        assert left == {2, 3, 4}
        assert not folder.exists()
        assert Evaluation.objects.count() == 4

    def test_models_page_offers_no_comparison_without_them(self, library, make_model, client):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        client.force_login(make_user(library=library, role="manager"))
        assert "model=2&amp;model=1" in client.get("/models/house/").content.decode()
        prune.prune(library)
        text = client.get("/models/house/").content.decode()
        assert "model=2&amp;model=1" not in text
        assert "model=2&amp;model=3" in text
        assert text.count("the same labels as model 2") == 3

    def test_newest_cross_validations_stay(self, library, make_model, settings):
        other = fold_of(make_library("other"), settings)
        make_model(YES)
        folds = [fold_of(library, settings) for _ in range(4)]
        make_model(NO)
        assert prune.prune().evaluations == 2
        kept = {row for row in evaluations_with_files(library, settings) if row.run is None}
        assert kept == set(folds[2:])
        assert Evaluation.objects.get(pk=other.pk).folder
        home = Path(settings.MODEL_ROOT) / "house"
        assert len([path for path in home.iterdir() if path.name.startswith("folds-")]) == 2

    def test_those_of_an_open_job_stay(self, library, settings, make_model):
        settings.KEEP_MODELS = 0
        jobs = [old_job(library, state) for state in ("done", "running")]
        folds = [fold_of(library, settings, job=job) for job in jobs]
        arm = make_model(NO, job=jobs[1])
        assert prune.prune(library).evaluations == 1
        kept = evaluations_with_files(library, settings)
        assert kept == {folds[1], Evaluation.objects.get(run__model=arm)}

    def test_what_asks_for_one_that_is_gone_is_told_so(self, library, make_model, settings):
        settings.KEEP_MODELS = 0
        make_model(NO)
        fold = fold_of(library, settings)
        assert evaluation_records.with_records(library).count() == 2
        prune.prune(library)
        assert not evaluation_records.with_records(library).exists()
        for asked in ({"model": 1}, {"pk": fold.pk}):
            with pytest.raises(BadInput, match="was removed to save space"):
                evaluation_records.find_evaluation(library, **asked)
        with pytest.raises(BadInput, match=f"cross-validation {fold.pk} was removed"):
            evaluation_records.report_of(Evaluation.objects.get(pk=fold.pk))

    def test_pages_say_so(self, library, make_model, settings, client):
        settings.KEEP_MODELS = 0
        make_model(NO)
        fold = fold_of(library, settings)
        prune.prune(library)
        client.force_login(make_user(library=library, role="manager"))
        page = client.get("/models/house/1/")
        text = page.content.decode()
        assert page.status_code == 200
        assert "curves, confusions and mistakes are gone" in text
        assert "No full report" not in text
        assert f"/models/house/evaluations/{fold.pk}/" not in (
            client.get("/models/house/").content.decode()
        )
        gone = client.get(reverse("evaluation", args=["house", fold.pk]), follow=True)
        assert gone.redirect_chain == [("/models/house/", 302)]
        assert "was removed to save space" in gone.content.decode()
        assert client.get("/api/v1/libraries/house/models/1/report/").status_code == 404


class TestSnapshots:
    def test_by_hand_young_running_and_asked_for_stay(self, library, make_model, settings):
        by_hand = snapshot_of(library, settings, by=make_user())
        by_command = snapshot_of(library, settings)
        young = snapshot_of(library, settings, taken_at=ago(hours=2))
        running = snapshot_of(library, settings)
        asked = snapshot_of(library, settings)
        failed = snapshot_of(library, settings)
        run_of(running)
        for snapshot in (by_hand, young, asked, failed):
            registry_models.end_without_model(run_of(snapshot), "failed", "bad")
        library.jobs.create(kind=JobKind.TRAIN, key="k", arguments={"snapshot": asked.number})
        found = prune.prune(library)
        kept = {one.number for one in (by_hand, by_command, young, running, asked)}
        assert snapshots_with_files(library, settings) == kept
        assert found.snapshots == 1

    def test_the_one_of_a_kept_model_stays_though_another_went(
        self, library, make_model, settings
    ):
        shared = snapshot_of(library, settings)
        for decision in (NO, YES, NO, NO):
            make_model(decision, snapshot=shared)
        prune.prune(library)
        assert numbers_with_files(library) == {2, 3, 4}
        assert snapshots_with_files(library, settings) == {shared.number}


class TestPredictions:
    def test_of_the_model_in_use_the_one_before_and_the_rounds_stay(
        self, library, make_model, settings
    ):
        models = [make_model(YES) for _ in range(6)]
        sets = [predict(version) for version in models]
        make_round = library.rounds.create
        make_round(number=1, strategy="s", state="retired", model_version=models[0])
        make_round(number=2, strategy="s", state="retired", model_version=models[1])
        make_round(number=3, strategy="s", state="live", model_version=models[2])
        found = prune.prune(library)
        left = {row.model_version.number for row in PredictionSet.objects.all()}
        assert left == {2, 3, 5, 6}
        assert found.prediction_sets == 2
        files = {path.name for path in Path(settings.PREDICTION_ROOT).rglob("*.npy")}
        kept = [row for row in sets if row.model_version.number in left]
        assert files == {Path(name).name for row in kept for name in (row.file, row.index_file)}

    def test_young_ones_and_those_of_open_jobs_stay(self, library, make_model):
        models = [make_model(YES) for _ in range(5)]
        for version in models:
            predict(version)
        PredictionSet.objects.filter(model_version=models[0]).update(created_at=ago(hours=2))
        library.jobs.create(kind=JobKind.PREDICT, key="k", arguments={"model": 2})
        prune.prune(library)
        left = {row.model_version.number for row in PredictionSet.objects.all()}
        assert left == {1, 2, 4, 5}

    def test_putting_a_model_in_use_again_asks_for_new_ones(
        self, library, make_model, settings
    ):
        settings.KEEP_MODELS = 4
        models = [make_model(YES) for _ in range(4)]
        for version in models:
            predict(version)
        prune.prune(library)
        job = retraining.roll_back(library.models.get(number=1))
        assert (job.kind, job.arguments["then"]) == (JobKind.PREDICT, [JobKind.RANK])

    def test_what_is_written_anew_meanwhile_stays(self, library, make_model, monkeypatch):
        models = [make_model(YES) for _ in range(3)]
        old, kept, looks = predict(models[0]), prune.kept_predictions, []

        def look(library):
            looks.append(library)
            if len(looks) == 2:  # after the row was read, before it is removed
                predict(models[0])
            return kept(library)

        monkeypatch.setattr(prune, "kept_predictions", look)
        assert prune.prune(library).prediction_sets == 0
        row = PredictionSet.objects.get()
        assert row.file != old.file
        assert (Path(settings.PREDICTION_ROOT) / row.file).exists()
