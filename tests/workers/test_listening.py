"""Probe and features of real files, by chunks, in this process."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from django.conf import settings
from django.core.management import call_command

from labeling import jobs
from labeling.loop import features
from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions
from labeling.models import AudioFile, AudioRoot, FeatureRow, Job, JobChunk, Track
from labeling.models.jobs import JobKind
from tests.factories import make_library, make_track
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db
RATE = 44_100


def tone(path, seconds, hz=440.0):
    time = np.arange(int(seconds * RATE)) / RATE
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hz * time), RATE, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path):
    tone(tmp_path / "two.wav", 2.0)
    tone(tmp_path / "half.wav", 0.5)
    (tmp_path / "noise.mp3").write_bytes(b"<html>not found</html>" * 50)
    return tmp_path


@pytest.fixture
def library(folder):
    library = make_library()
    root = AudioRoot.objects.create(name=library.slug, path=str(folder))
    for name in ("two.wav", "half.wav", "noise.mp3", "gone.wav"):
        audio = AudioFile.objects.create(root=root, relative_path=name)
        make_track(library, name, audio=audio, state="pending")
    return library


def extract(library, *arguments):
    out = io.StringIO()
    call_command(
        "extract_features", "--library", library.slug, "--inline", "--json", *arguments,
        stdout=out, stderr=io.StringIO(),
    )  # fmt: skip
    return json.loads(out.getvalue())


def states(library):
    return dict(library.tracks.values_list("key", "state"))


def test_files_are_heard_computed_and_what_fails_says_why(library):
    answer = extract(library)
    assert answer["feature_set"] == "audiotag"
    counts = [answer[f"tracks_{name}"] for name in ("done", "failed", "skipped")]
    assert counts == [2, 1, 0]
    assert answer["windows"] == 3
    assert states(library) == {
        "two.wav": "ready",
        "half.wav": "ready",
        "noise.mp3": "unreadable",
        "gone.wav": "missing",
    }
    two = AudioFile.objects.get(relative_path="two.wav")
    assert two.length_s == pytest.approx(2.0)
    assert (two.sample_rate_hz, two.channels, two.container) == (RATE, 1, "WAV")
    assert two.loudness_db == pytest.approx(-9.03, abs=0.1)  # a sine of half scale: 20 lg .5/√2
    assert len(two.sha256) == 64
    peaks = np.load(Path(settings.PEAKS_ROOT) / two.peaks_file)
    assert (peaks.dtype, peaks.shape) == (np.dtype(np.int8), (800, 2))
    assert peaks.max() == pytest.approx(64, abs=1)
    reason = Track.objects.get(key="noise.mp3").state_reason
    assert reason
    assert FeatureRow.objects.get(state="failed").reason == reason
    assert (
        Track.objects.get(key="gone.wav").state_reason == "the file has been moved or removed"
    )


def test_second_time_nothing_is_decoded(library):
    extract(library)
    chunks = JobChunk.objects.count()
    answer = extract(library)
    assert [answer[f"tracks_{name}"] for name in ("done", "failed", "skipped")] == [0, 1, 2]
    assert answer["windows"] == 0
    assert JobChunk.objects.count() == chunks


def test_another_configuration_is_another_set(library):
    extract(library)
    answer = extract(library, "--features", "seed-025s")
    assert (answer["feature_set"], answer["tracks_done"]) == ("seed-025s", 2)
    assert answer["windows"] == 8 + 2
    one = features.located(library, features.feature_set_of("seed-025s"))
    store = features.store_of(features.feature_set_of("seed-025s"))
    row = one.rows[0]
    assert store.windows(row.shard, row.offset, row.windows).shape == (8, 24, 13)
    assert features.summaries_of(features.feature_set_of("audiotag"), []).shape == (0, 0)


def test_file_that_changed_is_heard_and_computed_anew(library, folder):
    extract(library)
    before = FeatureRow.objects.get(audio__relative_path="two.wav")
    tone(folder / "two.wav", 3.0, hz=880.0)
    Track.objects.filter(key="two.wav").update(state="pending")
    answer = extract(library)
    assert (answer["tracks_done"], answer["windows"]) == (1, 3)
    after = FeatureRow.objects.get(audio__relative_path="two.wav")
    assert after.shard != before.shard
    assert AudioFile.objects.get(relative_path="two.wav").length_s == pytest.approx(3.0)


def test_features_do_not_wait_for_the_probe(library):
    job = jobs.enqueue(JobKind.FEATURES, library=library, is_announced=False)
    assert run_inline(job).result["tracks_done"] == 2
    assert states(library)["two.wav"] == "pending"
    assert states(library)["noise.mp3"] == "unreadable"


def test_link_out_of_the_folder_is_not_followed(library, folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.wav"
    tone(outside, 1.0)
    (folder / "link.wav").symlink_to(outside)
    root = AudioRoot.objects.get()
    audio = AudioFile.objects.create(root=root, relative_path="link.wav")
    assert features.paths_of([audio.pk]) == {audio.pk: None}
    sly = AudioFile.objects.create(root=root, relative_path="../outside0/secret.wav")
    assert features.paths_of([sly.pk]) == {sly.pk: None}


def test_shards_that_nobody_names_are_swept(library):
    extract(library)
    feature_set = features.feature_set_of("audiotag")
    store = features.store_of(feature_set)
    lost = store.folder / "lost.windows.npy"
    lost.write_bytes(b"x")
    assert features.sweep_features(feature_set, older_than_s=3600) == []
    assert "lost.windows.npy" in features.sweep_features(feature_set, older_than_s=-1)
    assert len(features.located(library, feature_set).rows) == 2
    assert len(list(store.folder.glob("*.windows.npy"))) == 1


def test_two_tracks_of_one_file_share_what_is_found(library):
    audio = AudioFile.objects.get(relative_path="two.wav")
    make_track(library, "again.wav", audio=audio, state="pending")
    answer = extract(library)
    assert answer["tracks_done"] == 3
    assert states(library)["again.wav"] == "ready"


def test_chunk_that_was_done_twice_leaves_one_row_a_file(library):
    extract(library)
    feature_set = features.feature_set_of("audiotag")
    found = features.located(library, feature_set)
    features.record_features(feature_set, found.rows, [])
    assert FeatureRow.objects.filter(feature_set=feature_set, state="done").count() == 2


def load(library, folder):
    """Import the files of the folder again, as a person does after replacing some."""
    table = folder / "catalogue.csv"
    keys = library.tracks.values_list("key", flat=True)
    table.write_text("filename\n" + "".join(f"{key}\n" for key in keys))
    return catalogue.import_catalogue(
        library.slug, table, ImportOptions(audio_folder=str(folder))
    )


def shard_of(name):
    return FeatureRow.objects.get(audio__relative_path=name).shard


def test_file_that_was_replaced_and_imported_again_gets_new_features(library, folder):
    load(library, folder)
    extract(library)
    before = shard_of("two.wav"), shard_of("half.wav")
    tone(folder / "two.wav", 3.0, hz=880.0)
    (folder / "half.wav").touch()
    load(library, folder)
    assert states(library)["half.wav"] == states(library)["two.wav"] == "pending"
    answer = extract(library)
    assert (answer["tracks_done"], answer["windows"]) == (1, 3)
    assert shard_of("two.wav") != before[0]
    assert shard_of("half.wav") == before[1]


def test_file_that_was_replaced_before_anybody_probed_it_loses_its_features(library, folder):
    load(library, folder)
    run_inline(jobs.enqueue(JobKind.FEATURES, library=library, is_announced=False))
    before = shard_of("two.wav")
    tone(folder / "two.wav", 3.0, hz=880.0)
    load(library, folder)
    assert extract(library)["tracks_done"] == 1
    assert shard_of("two.wav") != before


def test_file_that_was_repaired_is_computed_after_all(library, folder):
    load(library, folder)
    assert extract(library)["tracks_failed"] == 1
    soundfile.write(folder / "noise.mp3", np.zeros(RATE), RATE, format="MP3")
    load(library, folder)
    answer = extract(library)
    assert (answer["tracks_done"], answer["tracks_failed"]) == (1, 0)
    assert states(library)["noise.mp3"] == "ready"


def test_file_that_was_away_while_features_were_computed_is_tried_again(library, folder):
    load(library, folder)
    (folder / "two.wav").rename(folder / "away")
    run_inline(jobs.enqueue(JobKind.FEATURES, library=library, is_announced=False))
    assert states(library)["two.wav"] == "missing"
    (folder / "away").rename(folder / "two.wav")
    load(library, folder)
    assert extract(library)["tracks_done"] == 1
    assert states(library)["two.wav"] == "ready"


def test_file_that_became_unreadable_has_no_features_any_more(library, folder):
    load(library, folder)
    extract(library)
    (folder / "two.wav").write_bytes(b"<html>not found</html>" * 50)
    load(library, folder)
    extract(library)
    row = FeatureRow.objects.get(audio__relative_path="two.wav")
    assert (row.state, states(library)["two.wav"]) == ("failed", "unreadable")


def test_the_digest_of_features_tells_a_computation_from_the_next(library, folder):
    load(library, folder)
    extract(library)
    feature_set = features.feature_set_of("audiotag")
    before = features.located(library, feature_set)
    assert features.located(library, feature_set).digest() == before.digest()
    tone(folder / "two.wav", 3.0, hz=880.0)
    load(library, folder)
    extract(library)
    after = features.located(library, feature_set)
    assert after.track_ids.tolist() == before.track_ids.tolist()
    assert after.digest() != before.digest()


def test_what_an_import_asked_for_is_done_here_and_its_figures_are_told(library):
    asked = [
        jobs.enqueue(kind, library=library, is_announced=False)
        for kind in (JobKind.FEATURES, JobKind.PROBE)
    ]
    assert extract(library)["tracks_done"] == 2
    ended = Job.objects.order_by("id").values_list("pk", "state")
    assert list(ended) == [(job.pk, "done") for job in asked]


def test_file_that_browsers_cannot_play_says_so_and_still_gets_features(library, folder):
    time = np.arange(RATE) / RATE
    soundfile.write(folder / "half.wav", np.sin(440 * time), RATE, format="AIFF")
    answer = extract(library)
    assert answer["tracks_done"] == 2
    reasons = dict(AudioFile.objects.values_list("relative_path", "unplayable"))
    assert (reasons["half.wav"], reasons["two.wav"]) == ("AIFF", "")


def probed_again(library):
    library.tracks.filter(state="ready").update(state="pending")
    return extract(library)


def test_features_by_older_rules_are_computed_again_where_the_rules_matter(library, folder):
    one = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    soundfile.write(folder / "half.wav", np.stack([one, -one], 1), RATE, subtype="PCM_16")
    extract(library)
    before = shard_of("two.wav"), shard_of("half.wav")
    assert probed_again(library)["tracks_done"] == 0
    AudioFile.objects.update(decoding=0)
    AudioFile.objects.filter(relative_path="half.wav").update(warning="")
    assert probed_again(library)["tracks_done"] == 1
    assert shard_of("two.wav") == before[0]
    assert shard_of("half.wav") != before[1]
    assert set(AudioFile.objects.exclude(sha256="").values_list("decoding", flat=True)) == {1}
