"""Pruning of jobs and uploads, beside other work, and the command."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from labeling.loop import features, retraining
from labeling.loop.registry import models as registry_models
from labeling.loop.upkeep import prune
from labeling.models import (
    ImportBatch,
    Job,
    JobChunk,
    PredictionSet,
    Snapshot,
    TrainingRun,
)
from labeling.models.jobs import JobKind
from ml.types import TrainingConfig
from tests.factories import make_user
from tests.labeling.upkeep.pruning.world import (
    NO,
    YES,
    ago,
    fold_of,
    leave,
    numbers_with_files,
    old_job,
    predict,
    snapshot_of,
    snapshots_with_files,
)

pytestmark = pytest.mark.django_db


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
        before = retraining.trained_last_at(library)
        prune.prune(library)
        assert retraining.trained_last_at(library) == before
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
