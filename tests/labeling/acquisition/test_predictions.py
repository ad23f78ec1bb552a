"""The model's suggestions for a track, as they are read while a page is served."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from labeling.loop import features, predictions
from labeling.loop.features import Located
from labeling.loop.predictions import suggestions_for
from labeling.loop.registry import models
from labeling.models import AudioFile, AudioRoot, PredictionSet, Snapshot
from ml.features.store import ShardRow
from ml.types import TrainingConfig
from tests.factories import make_labels, make_library, make_track

pytestmark = pytest.mark.django_db
PROBABILITIES = np.array([[0.9, 0.6, 0.3, 0.01], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32)


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def labels(library):
    return make_labels(library, names=("Ambient", "Drone", "Rock", "Techno"))


@pytest.fixture
def version(library, labels):
    snapshot = Snapshot.objects.create(
        library=library, number=1, selection={}, hash="h", file="f", sha256="s", tracks=1,
        annotations=1, label_uids=[], split={}, taken_at=timezone.now(),
    )  # fmt: skip
    run = models.start_run(
        snapshot,
        features.feature_set_of("audiotag"),
        TrainingConfig(),
        digest="d",
        facts={},
        versions={},
    )
    uids = [label.uid.hex for label in labels]
    trained = models.Trained("f", "s", uids, [0.5, 0.7, 0.2, 0.5], {}, trusted(uids), {})
    return models.register_model(run, trained, models.Decision(True, ""))


def trusted(uids, *, without=(), span=(0.1, 0.5)):
    """Return metrics by which a model is better than the baseline, except on some labels."""
    return {
        "headline": {"skill": 0.3, "intervals": {"skill": list(span)}},
        "labels": [{"label_uid": uid, "is_better": uid not in without} for uid in uids],
    }


@pytest.fixture
def predicted(version):
    return record(version, np.array([7, 11]), PROBABILITIES)


def record(version, track_ids, probabilities):
    rows = [ShardRow(int(track_id), "shard", 0, 1) for track_id in track_ids]
    written = predictions.write(version, Located(track_ids, rows), probabilities)
    return predictions.record(version, written)


def said(library, track_id):
    return [
        (one["label"], one["probability"], one["above_threshold"])
        for one in suggestions_for(library, [track_id]).get(track_id, [])
    ]


def test_likeliest_first_with_its_threshold(library, predicted):
    assert said(library, 7) == [
        ("Ambient", pytest.approx(0.9, abs=1e-3), True),
        ("Drone", pytest.approx(0.6, abs=1e-3), False),
        ("Rock", pytest.approx(0.3, abs=1e-3), True),
    ]


def test_a_label_above_its_threshold_is_never_cut_off(library, predicted):
    assert [label for label, _, _ in said(library, 11)] == ["Techno", "Rock", "Drone"]


def test_track_that_was_not_scored_has_none(library, predicted):
    assert suggestions_for(library, [8, 12, 1]) == {}
    assert suggestions_for(library, []) == {}


def test_merged_label_is_suggested_as_what_it_became(library, labels, predicted):
    ambient, _, rock, techno = labels
    ambient.merged_into, ambient.is_active = techno, False
    ambient.save()
    rock.is_active = False
    rock.save()
    assert [label for label, _, _ in said(library, 7)] == ["Techno", "Drone"]
    assert said(library, 7)[0][1] == pytest.approx(0.9, abs=1e-3)


def test_another_model_in_use_has_its_own_say(library, version, predicted):
    record(version, np.array([7]), np.array([[0.1, 0.1, 0.1, 0.8]], dtype=np.float32))
    assert PredictionSet.objects.count() == 1
    assert said(library, 7)[0][0] == "Techno"
    assert said(library, 11) == []


def test_no_model_no_suggestion(library):
    assert suggestions_for(library, [7]) == {}


@pytest.mark.parametrize("harm", ["remove", "change"])
def test_lost_or_changed_file_costs_the_suggestions_only(library, predicted, harm):
    path = Path(settings.PREDICTION_ROOT) / predicted.file
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert suggestions_for(library, [7]) == {}


def test_a_label_that_the_model_guesses_is_not_suggested(library, labels, version, predicted):
    ambient, _, rock, _ = labels
    version.metrics = trusted(version.label_uids, without=[ambient.uid.hex])
    version.save()
    assert [label for label, _, _ in said(library, 7)] == ["Drone", "Rock"]
    assert predictions.why_few(library) == (
        "The model is not known to be better than guessing on Ambient yet, so it "
        "does not suggest this label. More labelled audit tracks can show that it is."
    )
    version.metrics = trusted(version.label_uids, without=version.label_uids)
    version.save()
    assert suggestions_for(library, [7]) == {}
    assert "on Ambient, Drone, Rock and 1 more yet" in predictions.why_few(library)
    assert rock.name in predictions.why_few(library)


def test_a_model_that_is_not_better_as_a_whole_suggests_nothing(library, version, predicted):
    version.metrics = trusted(version.label_uids, span=(-0.02, 0.5))
    version.save()
    assert suggestions_for(library, [7]) == {}
    assert predictions.why_few(library) == (
        "The model is not known to be better than guessing on the audit tracks yet (skill "
        "+0.30, 95 % CI -0.02 to +0.50), so it suggests nothing. Label more tracks."
    )


def test_a_model_without_an_evaluation_suggests_nothing(library, version, predicted):
    version.metrics = {}
    version.save()
    assert suggestions_for(library, [7]) == {}
    assert "has not been evaluated on audit tracks yet" in predictions.why_few(library)


def test_all_labels_trusted_need_no_explanation(library, predicted):
    assert predictions.why_few(library) == ""


def test_few_queries(library, predicted, django_assert_num_queries):
    suggestions_for(library, [7])
    with django_assert_num_queries(3):
        suggestions_for(library, [7, 11])


def predict(library, version):
    found = features.located(library, version.run.feature_set)
    shape = (len(found.track_ids), len(version.label_uids))
    written = predictions.write(version, found, np.zeros(shape, dtype=np.float32))
    return predictions.record(version, written)


def computed(library, track, shard):
    """Give the file of a track features in this shard, in the place of those it had."""
    row = ShardRow(track.audio_id, shard, 0, 2)
    features.record_features(features.feature_set_of(library.features), [row], [])


def test_stale_until_every_track_is_scored_by_the_features_it_has_now(library, version):
    assert predictions.is_stale(library)
    root = AudioRoot.objects.create(name="r", path="/nowhere")
    tracks = []
    for name in ("a.mp3", "b.mp3"):
        audio = AudioFile.objects.create(root=root, relative_path=name)
        tracks.append(make_track(library, name, audio=audio, state="ready"))
        computed(library, tracks[-1], name)
    predict(library, version)
    assert not predictions.is_stale(library)
    computed(library, tracks[0], "another")
    assert predictions.is_stale(library)
    predict(library, version)
    assert not predictions.is_stale(library)
    make_track(library, "again.mp3", audio=tracks[0].audio, state="ready")
    assert predictions.is_stale(library)


@pytest.mark.parametrize("name", ["file", "index_file"])
def test_stale_where_a_file_was_lost(library, version, name):
    row = predict(library, version)
    assert not predictions.is_stale(library)
    (Path(settings.PREDICTION_ROOT) / getattr(row, name)).unlink()
    assert predictions.is_stale(library)


def test_files_that_nobody_names_are_swept_when_they_are_old(library, predicted):
    home = Path(settings.PREDICTION_ROOT) / library.slug
    for name in ("1-old.npy", ".1-killed.npy.new", "1-young.npy"):
        (home / name).write_bytes(b"x")
    for name in ("1-old.npy", ".1-killed.npy.new", Path(predicted.file).name):
        os.utime(home / name, (1, 1))
    predictions.sweep_predictions(library)
    left = {path.name for path in home.iterdir()}
    assert left == {"1-young.npy", Path(predicted.file).name, Path(predicted.index_file).name}
