"""Every run leaves a record of its predictions for held-out tracks, and a report."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command

from labeling.errors import BadInput
from labeling.loop.datasets import snapshots
from labeling.loop.registry import evaluation_records, models
from labeling.models import Evaluation, Job, ModelVersion, TrainingRun
from ml.evaluation.record import FILE_NAME
from ml.evaluation.report import build_report
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    return plant(n_tracks=45, n_audit=12)


def train(library, *more):
    out = io.StringIO()
    call_command(
        "train", "--library", library.slug, "--inline", "--json", *more,
        stdout=out, stderr=io.StringIO(),
    )  # fmt: skip
    return json.loads(out.getvalue())


def test_a_run_keeps_its_record_beside_its_model(planted):
    answer = train(planted.library)
    evaluation = Evaluation.objects.get()
    version = ModelVersion.objects.get()
    assert answer["run"] == evaluation.run_id == version.run_id
    assert evaluation.folder == version.folder
    assert (evaluation.side, evaluation.tracks) == ("audit", 12)
    record = evaluation_records.record_of(evaluation)
    audit = planted.library.tracks.filter(is_audit=True)
    assert set(record.track_uids.tolist()) == {row.uid.hex.encode() for row in audit}
    assert [label.name for label in record.labels] == ["Ambient", "Drone", "Rock"]
    assert {label.facet for label in record.labels} == {planted.labels[0].facet.name}
    assert np.array_equal(record.thresholds[0], version.thresholds)


def test_its_report_says_what_was_registered_and_can_be_computed_again(planted):
    train(planted.library)
    evaluation = Evaluation.objects.get()
    version = ModelVersion.objects.get()
    report = evaluation_records.report_of(evaluation)
    for name in ("n", "macro_ap", "bce_skill", "lwlrap", "macro_f1", "binary_accuracy"):
        assert report["figures"][name] == pytest.approx(version.metrics[name])
        assert report["baseline"][name] == pytest.approx(version.baseline[name])
    interval = version.metrics["interval"]["macro_ap"]
    assert report["intervals"]["macro_ap"] == pytest.approx(interval)
    again = build_report(evaluation_records.record_of(evaluation))
    assert json.loads(json.dumps(again)) == {k: v for k, v in report.items() if k != "record"}
    os.unlink(evaluation_records.record_folder_of(evaluation) / evaluation_records.REPORT_FILE)
    assert json.loads(json.dumps(evaluation_records.report_of(evaluation))) == report


def test_it_knows_what_it_was_trained_on(planted):
    catalogue(planted, range(20, 30), at="2024-03-01", kind="judgement")
    train(planted.library, "--seed", "3")
    about = evaluation_records.report_of(Evaluation.objects.get())["about"]
    snapshot = planted.library.snapshots.get()
    assert about["snapshot"]["hash"] == snapshot.hash
    assert about["answers"]["annotators"][0]["name"] == "catalogue"
    assert sum(one["answers"] for one in about["answers"]["annotators"]) == 33
    assert snapshot.annotations == 45  # those of the 12 audit tracks only measured
    assert about["answers"]["guidelines"] == [0]
    assert (about["seed"], about["network"]) == (3, "pooled-numpy")
    assert about["config"]["seed"] == 3
    assert about["versions"]["numpy"] == np.__version__
    assert about["seconds"] >= 0


def test_folds_keep_what_each_said_of_what_it_had_not_seen(planted):
    answer = train(planted.library, "--folds", "3")
    assert answer["run"] is None
    evaluation = Evaluation.objects.get()
    assert (evaluation.run, evaluation.side, evaluation.tracks) == (None, "folds", 45)
    assert Job.objects.get(kind="evaluate").result["evaluation"] == evaluation.pk
    record = evaluation_records.record_of(evaluation)
    assert record.n_parts == 3
    assert {epoch["part"] for epoch in record.history} == {0, 1, 2}
    frozen = snapshots.load(planted.library.snapshots.get())
    for group in np.unique(frozen.groups):
        assert len(set(record.part_of[frozen.groups == group])) == 1
    report = evaluation_records.report_of(evaluation)
    for name, value in answer["metrics"].items():
        if name in report["figures"]:
            assert report["figures"][name] == pytest.approx(value)
    expected = answer["metrics"]["interval"]["macro_ap"]
    assert report["intervals"]["macro_ap"] == pytest.approx(expected)
    assert TrainingRun.objects.count() == ModelVersion.objects.count() == 0


def test_the_sweep_leaves_records_of_folds_alone(planted):
    train(planted.library, "--folds", "2")
    folder = evaluation_records.record_folder_of(Evaluation.objects.get())
    os.utime(folder, (0, 0))
    stray = Path(settings.MODEL_ROOT) / planted.library.slug / "folds-forgotten"
    stray.mkdir()
    os.utime(stray, (0, 0))
    assert models.sweep_models(planted.library) == [f"{planted.library.slug}/{stray.name}"]
    assert (folder / FILE_NAME).exists()


def test_without_an_audit_answer_the_report_says_so():
    planted = plant(n_tracks=30, n_audit=8, answers=False)
    catalogue(planted, range(8, 30))
    train(planted.library)
    report = evaluation_records.report_of(Evaluation.objects.get())
    assert report["verdict"]["text"] == "cannot be judged"
    assert "no held-out track was judged" in report["message"]
    assert report["figures"]["macro_ap"] is None


class TestFinding:
    def test_by_model_run_and_id(self, planted):
        train(planted.library)
        evaluation = Evaluation.objects.get()
        for asked in ({"model": 1}, {"run": evaluation.run_id}, {"pk": evaluation.pk}):
            assert evaluation_records.find_evaluation(planted.library, **asked) == evaluation
        assert evaluation_records.name_of(evaluation) == "Model 1"

    @pytest.mark.parametrize("asked", [{"model": 9}, {"run": 9}, {"pk": 9}])
    def test_what_is_not_there(self, planted, asked):
        with pytest.raises(BadInput, match=r"has no .* 9"):
            evaluation_records.find_evaluation(planted.library, **asked)

    def test_a_run_that_diverged_says_so(self, planted):
        train(planted.library)
        run = Evaluation.objects.get().run
        Evaluation.objects.all().delete()
        with pytest.raises(BadInput, match="before evaluation records were stored"):
            evaluation_records.find_evaluation(planted.library, model=1)
        TrainingRun.objects.update(state="failed", reason="the training loss became nan")
        with pytest.raises(BadInput, match="it is Failed: the training loss became nan"):
            evaluation_records.find_evaluation(planted.library, run=run.pk)

    def test_a_changed_record_is_refused(self, planted):
        train(planted.library)
        evaluation = Evaluation.objects.get()
        path = evaluation_records.record_folder_of(evaluation) / FILE_NAME
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(BadInput, match="not the evaluation record"):
            evaluation_records.record_of(evaluation)


class TestComparing:
    def test_two_runs_on_the_same_tracks(self, planted):
        train(planted.library)
        train(planted.library, "--epochs", "1", "--seed", "1")
        first, second = Evaluation.objects.order_by("pk")
        assert first.answers_hash == second.answers_hash
        found = evaluation_records.compare_evaluations([first, second])
        assert (found["n"], found["reference"]) == (12, "Model 2")
        reports = [evaluation_records.report_of(one) for one in (first, second)]
        for run, report in zip(found["runs"], reports, strict=True):
            for name, value in run["figures"].items():
                assert value == pytest.approx(report["figures"][name])
        assert evaluation_records.compare_evaluations([first, second]) == found

    def test_other_answers_have_another_hash(self, planted):
        train(planted.library)
        catalogue(planted, range(3), annotator=planted.legacy, shift=1, at="2024-03-01")
        train(planted.library)
        first, second = Evaluation.objects.order_by("pk")
        assert first.answers_hash != second.answers_hash
        assert evaluation_records.compare_evaluations([first, second])["differing"][0] > 0

    def test_what_is_refused(self, planted):
        train(planted.library)
        one = Evaluation.objects.get()
        with pytest.raises(BadInput, match="2 to 6"):
            evaluation_records.compare_evaluations([one])
        with pytest.raises(BadInput, match="with itself"):
            evaluation_records.compare_evaluations([one, one])
