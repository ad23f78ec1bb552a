"""Pruning: what is removed to save space, what must stay, and no loss while it is read."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from labeling.errors import BadInput
from labeling.loop import features, predictions, retraining
from labeling.loop.features import Located
from labeling.loop.registry import evaluation_records
from labeling.loop.registry import models as registry_models
from labeling.loop.registry.evaluation_records import Measured
from labeling.loop.registry.models import Decision
from labeling.loop.upkeep import prune
from labeling.models import (
    Evaluation,
    ImportBatch,
    Job,
    JobChunk,
    PredictionSet,
    Snapshot,
    TrainingRun,
)
from labeling.models.jobs import JobKind
from ml.features.store import ShardRow
from ml.types import TrainingConfig
from tests.factories import make_library, make_user

pytestmark = pytest.mark.django_db
RECORD = ("evaluation.npz", "report.json")
YES, NO = Decision(True, "good"), Decision(False, "bad")


@pytest.fixture(autouse=True)
def folders(tmp_path, settings):
    for name in ("MODEL", "SNAPSHOT", "PREDICTION", "UPLOAD"):
        setattr(settings, f"{name}_ROOT", tmp_path / name.lower())
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "tmp")
    settings.KEEP_MODELS = 2


@pytest.fixture
def library():
    return make_library("house")


def ago(**how):
    return timezone.now() - timedelta(**how)


def leave(root, name, content=b"something"):
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def snapshot_of(library, settings, **over):
    number = library.snapshots.count() + 1
    file = f"house/{number}.npz"
    leave(settings.SNAPSHOT_ROOT, file)
    values = {
        "number": number, "selection": {}, "hash": f"h{number}", "file": file, "sha256": "s",
        "tracks": 1, "annotations": 1, "label_uids": [], "split": {}, "taken_at": ago(days=9),
    }  # fmt: skip
    return Snapshot.objects.create(library=library, **{**values, **over})


def run_of(snapshot, job=None):
    return registry_models.start_run(
        snapshot,
        features.feature_set_of("audiotag"),
        TrainingConfig(),
        digest="d",
        facts={},
        versions={},
        job=job,
    )


@pytest.fixture
def make_model(library, settings):
    """Make a model with files and a snapshot of its own, promoted or rejected."""

    def make(decision=NO, snapshot=None, job=None):
        run = run_of(snapshot or snapshot_of(library, settings), job)
        folder = registry_models.folder_name(run)
        leave(settings.MODEL_ROOT, f"{folder}/weights.npz")
        measured = record_in(folder, settings)
        trained = registry_models.Trained(
            folder, "s", ["a"], [0.5], {}, {}, {}, measured=measured
        )
        return registry_models.register_model(run, trained, decision)

    return make


def record_in(folder, settings):
    """Write files in the place of an evaluation record and its report."""
    for name in RECORD:
        leave(settings.MODEL_ROOT, f"{folder}/{name}")
    return Measured(folder, "s", "h", "audit", 1, "good")


def fold_of(library, settings, **over):
    """Make a cross-validation with its files."""
    number = library.evaluations.count()
    measured = record_in(f"{library.slug}/folds-{number}", settings)
    return evaluation_records.register_evaluation(
        library, "net", replace(measured, side="folds"), **over
    )


def evaluations_with_files(library, settings):
    rows = library.evaluations.exclude(folder="")
    home = Path(settings.MODEL_ROOT) / library.slug
    on_disk = {path for path in home.rglob("*.*") if path.name in RECORD}
    assert on_disk == {
        evaluation_records.record_folder_of(row) / name for row in rows for name in RECORD
    }
    return set(rows)


def numbers_with_files(library):
    rows = library.models.order_by("number")
    names = {row.number for row in rows if registry_models.has_files(row)}
    assert names == {row.number for row in rows if row.folder}
    return names


def snapshots_with_files(library, settings):
    rows = library.snapshots.exclude(file="").order_by("number")
    on_disk = {path.stem for path in Path(settings.SNAPSHOT_ROOT).rglob("*.npz")}
    assert on_disk == {str(row.number) for row in rows}
    return {row.number for row in rows}


class TestModels:
    def test_put_in_use_and_newest_stay(self, library, make_model, settings):
        for decision in (NO, YES, NO, NO, YES, NO, NO, NO):
            make_model(decision)
        found = prune.prune(library)
        assert numbers_with_files(library) == {2, 5, 7, 8}
        assert snapshots_with_files(library, settings) == {2, 5, 7, 8}
        assert (found.models, found.evaluations, found.snapshots) == (4, 4, 4)
        assert found.bytes == 4 * 4 * len(b"something")
        assert library.models.count() == library.snapshots.count() == 8
        assert prune.prune(library).as_json() == prune.Pruned().as_json()

    def test_of_those_put_in_use_the_newest_stay(self, library, make_model):
        for decision in (YES, NO, YES, YES, NO, YES):
            make_model(decision)
        prune.prune(library)
        assert numbers_with_files(library) == {2, 4, 5, 6}

    def test_the_one_in_use_and_the_one_before_it_stay(self, library, make_model, settings):
        for decision in (YES, YES, YES, YES, NO):
            make_model(decision)
        registry_models.promote(library.models.get(number=2))
        registry_models.promote(library.models.get(number=1))
        settings.KEEP_MODELS = 0
        prune.prune(library)
        assert numbers_with_files(library) == {1, 2}
        registry_models.promote(library.models.get(number=2))

    def test_one_rolled_back_to_stays(self, library, make_model):
        first = make_model(NO)
        make_model(YES)
        registry_models.promote(first)
        registry_models.promote(library.models.get(number=2))
        for _ in range(3):
            make_model(NO)
        prune.prune(library)
        assert numbers_with_files(library) == {1, 2, 4, 5}

    def test_pruned_one_is_not_put_in_use(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        before_prune = library.models.get(number=1)
        prune.prune(library)
        for version in (before_prune, library.models.get(number=1)):
            with pytest.raises(BadInput, match="model 1 were removed to save space"):
                retraining.roll_back(version)
            with pytest.raises(BadInput, match="removed to save space"):
                registry_models.model_folder_of(library.models.get(number=1))
        assert registry_models.champion_of(library).number == 2
        assert not library.jobs.exists()

    def test_pages_say_so(self, library, make_model, client):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        prune.prune(library)
        client.force_login(make_user(library=library, role="manager"))
        text = client.get("/models/house/").content.decode()
        assert text.count("files removed") == 1
        assert text.count(">Promote</button>") == 2
        one = client.get("/models/house/1/").content.decode()
        assert "removed to save space" in one
        assert ">Promote</button>" not in one
        assert "file removed" in client.get("/snapshots/house/").content.decode()
        answer = client.post("/models/house/1/use/", follow=True).content.decode()
        assert "files of model 1 were removed" in answer

    def test_the_same_training_runs_again_where_its_model_was_pruned(self, make_model, library):
        first = make_model(NO)
        for decision in (YES, NO, NO):
            make_model(decision)
        snapshot = first.run.snapshot
        assert registry_models.same_run(snapshot, "d") == first.run
        prune.prune(library)
        assert registry_models.same_run(snapshot, "d") is None

    def test_only_the_library_asked_for(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        prune.prune(make_library())
        assert numbers_with_files(library) == {1, 2, 3, 4}

    def test_what_else_is_in_its_folder_stays(self, library, make_model):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        folder = registry_models.model_folder_of(library.models.get(number=1))
        leave(folder, "notes.txt")
        prune.prune(library)
        assert [path.name for path in folder.iterdir()] == ["notes.txt"]

    def test_folder_that_cannot_be_removed_is_left_to_the_sweep(
        self, library, make_model, monkeypatch
    ):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        folder = registry_models.model_folder_of(library.models.get(number=1))

        def refuse(path):
            raise PermissionError(13, "read-only", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            prune.prune(library)
        assert folder.is_dir()
        os.utime(folder, (1, 1))
        registry_models.sweep_models(library)
        assert not folder.exists()


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


def predict(version, **over):
    found = Located(np.array([7]), [ShardRow(7, "shard", 0, 1)])
    row = predictions.record(version, predictions.write(version, found, np.zeros((1, 1))))
    PredictionSet.objects.filter(pk=row.pk).update(created_at=ago(days=3), **over)
    return row


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


class TestConcurrent:
    """Readers that come between the steps of pruning."""

    def come_after_the_first_look(self, monkeypatch, name, come):
        looked = getattr(prune, name)

        def look(*arguments):
            found = looked(*arguments)
            monkeypatch.setattr(prune, name, looked)
            come()
            return found

        monkeypatch.setattr(prune, name, look)

    def test_prediction_by_an_old_model_keeps_it(self, library, make_model, monkeypatch):
        for decision in (NO, YES, NO, NO):
            make_model(decision)

        def come():
            library.jobs.create(
                kind=JobKind.PREDICT, key="k", state="running", arguments={"model": 1}
            )

        self.come_after_the_first_look(monkeypatch, "kept_models", come)
        assert prune.prune(library).models == 0
        assert numbers_with_files(library) == {1, 2, 3, 4}

    def test_training_on_an_old_snapshot_keeps_it(
        self, library, make_model, monkeypatch, settings
    ):
        for decision in (NO, YES, NO, NO):
            make_model(decision)

        def come():  # the answers are again those of snapshot 1
            Snapshot.objects.filter(number=1).update(taken_at=timezone.now())

        self.come_after_the_first_look(monkeypatch, "kept_snapshots", come)
        assert prune.prune(library).snapshots == 0
        assert snapshots_with_files(library, settings) == {1, 2, 3, 4}
        assert numbers_with_files(library) == {2, 3, 4}

    def test_model_put_in_use_meanwhile_stays(self, library, make_model, monkeypatch):
        for decision in (NO, YES, NO, NO):
            make_model(decision)
        first = library.models.get(number=1)
        self.come_after_the_first_look(
            monkeypatch, "kept_models", lambda: registry_models.promote(first)
        )
        prune.prune(library)
        assert numbers_with_files(library) == {1, 2, 3, 4}
        assert registry_models.champion_of(library).number == 1


def old_job(library, state="done", days=100, kind=JobKind.RANK, **over):
    number = Job.objects.count()
    job = Job.objects.create(
        library=library, kind=kind, key=f"k{number}", state=state,
        started_at=ago(days=days), finished_at=ago(days=days), **over,
    )  # fmt: skip
    JobChunk.objects.create(job=job, n=0, arguments={"ids": [1]}, state="done")
    return job


class TestJobs:
    def test_ended_long_ago_go_with_their_chunks(self, library):
        gone = [old_job(library, state) for state in ("done", "failed", "cancelled")]
        kept = [
            old_job(library, days=80),
            old_job(library, "running"),
            old_job(library, "queued"),
        ]
        found = prune.prune(library)
        assert (found.jobs, found.job_chunks) == (len(gone), 3)
        assert set(Job.objects.all()) == set(kept)
        assert JobChunk.objects.count() == 3

    def test_runs_and_imports_keep_their_facts(self, library, settings):
        job = old_job(library, kind=JobKind.EVALUATE)
        run = registry_models.start_run(
            snapshot_of(library, settings), features.feature_set_of("audiotag"),
            TrainingConfig(), digest="d", facts={}, versions={}, job=job,
        )  # fmt: skip
        registry_models.end_without_model(run, "failed", "bad")
        imported = old_job(library, kind=JobKind.IMPORT)
        ImportBatch.objects.create(
            library=library, file_name="a.csv", stored_as="a.csv", job=imported
        )
        fold = fold_of(library, settings, job=old_job(library, kind=JobKind.EVALUATE))
        prune.prune(library)
        fold.refresh_from_db()
        assert (TrainingRun.objects.get().job, fold.job) == (None, None)
        assert list(Job.objects.all()) == [imported]

    def test_new_answers_are_still_counted_from_the_last_training(self, library):
        old_job(library, kind=JobKind.TRAIN, days=300)
        last = old_job(library, kind=JobKind.TRAIN, days=200)
        tried = old_job(library, "failed", kind=JobKind.TRAIN, days=150)
        before = retraining.looked_last_at(library)
        prune.prune(library)
        assert retraining.looked_last_at(library) == before
        assert set(Job.objects.all()) == {last, tried}

    def test_those_of_no_library_go_with_all(self, library):
        old_job(None)
        assert prune.prune(library).jobs == 0
        assert prune.prune().jobs == 1


class TestUploads:
    def batch(self, library, settings, name, job=None, days=0):
        leave(settings.UPLOAD_ROOT, name)
        row = ImportBatch.objects.create(
            library=library, file_name=name, stored_as=name, job=job
        )
        ImportBatch.objects.filter(pk=row.pk).update(created_at=ago(days=days))
        return row

    def test_ended_or_never_begun_long_ago_go(self, library, settings, client):
        import_ = {"kind": JobKind.IMPORT}
        self.batch(library, settings, "old.csv", old_job(library, days=40, **import_), 50)
        self.batch(library, settings, "late.csv", old_job(library, days=20, **import_), 50)
        self.batch(library, settings, "open.csv", old_job(library, "queued", 40, **import_), 50)
        row = self.batch(library, settings, "never.csv", days=40)
        self.batch(library, settings, "new.csv", days=2)
        assert prune.prune(library).uploads == 2
        left = {path.name for path in Path(settings.UPLOAD_ROOT).iterdir()}
        assert left == {"late.csv", "open.csv", "new.csv"}
        client.force_login(make_user(library=library, role="manager"))
        answer = client.get(f"/imports/house/{row.pk}/", follow=True).content.decode()
        assert "was removed: upload it again" in answer

    def test_strays_go_when_they_are_old(self, library, settings):
        self.batch(library, settings, "known.csv")
        stray = leave(settings.UPLOAD_ROOT, "stray.csv")
        killed = leave(settings.FILE_UPLOAD_TEMP_DIR, "tmp1.upload")
        for path in (stray, killed, Path(settings.UPLOAD_ROOT) / "known.csv"):
            os.utime(path, (time.time() - 90_000,) * 2)
        leave(settings.UPLOAD_ROOT, "young.csv")
        assert prune.prune().uploads == 2
        left = {path.name for path in Path(settings.UPLOAD_ROOT).iterdir()}
        assert left == {"known.csv", "young.csv"}


class TestCommand:
    def run(self, *arguments):
        out = io.StringIO()
        call_command("prune", "--json", *arguments, stdout=out, stderr=io.StringIO())
        return json.loads(out.getvalue())

    def test_dry_run_says_the_same_and_removes_nothing(self, library, make_model, settings):
        for decision in (NO, YES, NO, NO):
            predict(make_model(decision))
        old_job(library)
        leave(settings.UPLOAD_ROOT, "never.csv")
        batch = ImportBatch.objects.create(
            library=library, file_name="n", stored_as="never.csv"
        )
        ImportBatch.objects.filter(pk=batch.pk).update(created_at=ago(days=40))
        dry = self.run("--library", "house", "--dry-run")
        assert numbers_with_files(library) == {1, 2, 3, 4}
        assert (Job.objects.count(), PredictionSet.objects.count()) == (1, 4)
        wet = self.run()
        assert {**dry, "is_dry_run": False} == wet
        assert wet == {
            "is_dry_run": False, "models": 1, "evaluations": 1, "snapshots": 1,
            "prediction_sets": 3, "jobs": 1, "job_chunks": 1, "uploads": 1,
            "bytes": wet["bytes"],
        }  # fmt: skip
        assert wet["bytes"] > 3 * len(b"something")

    def test_unknown_library_is_refused(self):
        with pytest.raises(CommandError) as refused:
            self.run("--library", "nowhere")
        assert refused.value.returncode == 2

    def test_empty_place(self):
        assert set(self.run().values()) == {0}
