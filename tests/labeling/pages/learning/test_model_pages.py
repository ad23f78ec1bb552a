"""The Models and the Snapshots page, without a browser."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management import call_command

from labeling.loop.datasets import snapshots
from labeling.loop.datasets.selection import describe_selection
from labeling.loop.registry import models
from labeling.models import (
    Annotator,
    GuidelineVersion,
    Job,
    ModelVersion,
    Snapshot,
    TrainingRun,
)
from labeling.models.jobs import JobKind
from labeling.views.learning import model_rows
from tests.answers import day
from tests.factories import make_annotator, make_library, make_user
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    return plant(n_tracks=45, n_audit=12)


@pytest.fixture
def curator(planted, client):
    user = make_user("carla", library=planted.library, role="curator")
    client.force_login(user)
    return client


def turn(library):
    call_command(
        "run_round", "--library", library.slug, "--inline", "--json",
        stdout=io.StringIO(), stderr=io.StringIO(),
    )  # fmt: skip


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_empty_page_says_what_to_do(planted, curator):
    text = page(curator, f"/models/{planted.library.slug}/")
    assert "No model yet" in text
    assert "Start training" in text
    assert "20 or more annotations are new" in text  # all of the catalogue is


def test_models_stand_beside_the_constant(planted, curator):
    turn(planted.library)
    text = page(curator, f"/models/{planted.library.slug}/")
    version = ModelVersion.objects.get()
    shown = version.metrics["headline"]
    low, high = shown["intervals"]["skill"]
    assert f">{shown['skill']:+.2f}<" in text
    assert f"baseline 0, 95 % CI {low:+.2f} to {high:+.2f}" in text
    # Twelve audit tracks: macro AP over labels with four positives each would be too high.
    assert f"{version.metrics['macro_ap']:.2f}<" not in text
    assert "not shown" in text
    assert "0 of 3 labels have 10 positives, 3 are needed" in text
    out = version.metrics["out_of_fold"]["headline"]
    assert f"out-of-fold {out['skill']:+.2f} on 33 training tracks" in text
    assert "champion" in text
    assert "the first usable model of this library" in text
    assert "all selected: catalogue" in text
    assert 'data-running="no"' in text


def test_detail_shows_labels_course_and_what_it_learnt_from(planted, curator):
    turn(planted.library)
    text = page(curator, f"/models/{planted.library.slug}/1/")
    for part in ("Ambient", "Drone", "Rock", "33 for training, 12 audit", "audiotag", "<svg"):
        assert part in text
    assert curator.get(f"/models/{planted.library.slug}/9/").status_code == 404


def test_figures_that_are_not_known_are_dashes_with_a_reason(client):
    planted = plant(n_tracks=30, n_audit=8, answers=False)
    catalogue(planted, range(8, 30))
    client.force_login(make_user(library=planted.library, role="curator"))
    turn(planted.library)
    text = page(client, f"/models/{planted.library.slug}/")
    assert text.count(">–</span>") == 4
    assert "no audit track with features has been judged yet" in text
    rows = model_rows.model_label_rows(ModelVersion.objects.get())
    assert {row.ap.value for row in rows} == {"–"}
    assert rows[0].ap.hint.startswith("no audit track")


def test_button_asks_for_a_training_once(planted, curator):
    address = f"/models/{planted.library.slug}/train/"
    curator.post(address, {"network": "pooled-numpy"})
    job = Job.objects.get()
    assert (job.kind, job.arguments["network"]) == (JobKind.TRAIN, "pooled-numpy")
    assert job.by.username == "carla"
    answer = curator.post(address, {"network": "pooled-numpy"}, follow=True)
    assert "already running" in answer.content.decode()
    assert "No worker is running" in answer.content.decode()
    assert Job.objects.count() == 1


def test_unknown_network_and_library_without_audio_are_refused(planted, curator, client):
    answer = curator.post(
        f"/models/{planted.library.slug}/train/", {"network": "x"}, follow=True
    )
    assert "This network does not exist" in answer.content.decode()
    bare = make_library()
    client.force_login(make_user(library=bare, role="curator"))
    answer = client.post(f"/models/{bare.slug}/train/", {"network": "pooled"}, follow=True)
    assert "No track of this library has audio" in answer.content.decode()
    assert Job.objects.count() == 0


def test_running_training_shows_its_course(planted, curator):
    turn(planted.library)
    run = TrainingRun.objects.get()
    TrainingRun.objects.update(state="running")
    Job.objects.filter(kind="train").update(
        state="running", done=3, total=80, message="epoch 3, fold 1 of 5"
    )
    text = page(curator, f"/models/{planted.library.slug}/now/")
    assert 'data-running="yes"' in text
    assert "epoch 3, fold 1 of 5" in text
    assert '<progress max="80" value="3"' in text
    assert "all tracks: " in text
    assert "<svg" in text
    assert run.network in text


def test_failed_training_says_why(planted, curator):
    turn(planted.library)
    TrainingRun.objects.update(state="failed", reason="the loss became nan")
    Job.objects.filter(kind="train").update(state="failed", reason="the loss became nan")
    text = page(curator, f"/models/{planted.library.slug}/")
    assert "The last training failed: the loss became nan" in text
    assert "Failed and cancelled trainings" in text


def test_another_model_is_put_in_use_by_a_button(planted, curator):
    turn(planted.library)
    first = ModelVersion.objects.get()
    run = TrainingRun.objects.create(
        library=planted.library, snapshot=first.run.snapshot, network="pooled",
        feature_set=first.run.feature_set, config={}, config_hash="x", seed=0,
        started_at=first.created_at,
    )  # fmt: skip
    same = models.Trained("f", "s", ["a"], [0.5], {}, {}, {})
    models.register_model(run, same, models.Decision(True, "newer"))
    answer = curator.post(f"/models/{planted.library.slug}/1/use/", follow=True)
    assert "Model 1 is the champion now." in answer.content.decode()
    assert models.champion_of(planted.library) == first
    assert Job.objects.filter(kind="rank", state="queued").count() == 1
    again = curator.post(f"/models/{planted.library.slug}/1/use/", follow=True)
    assert "is the champion already" in again.content.decode()


@pytest.mark.parametrize("part", ["models", "snapshots"])
def test_pages_are_for_curators(planted, client, part):
    client.force_login(make_user(library=planted.library, role="annotator"))
    assert client.get(f"/{part}/{planted.library.slug}/").status_code == 403
    client.force_login(make_user())
    assert client.get(f"/{part}/{planted.library.slug}/").status_code == 404


class TestSnapshots:
    DEFAULTS = {"negatives": "first-use", "others": "keep", "min_support": "5"}

    def test_empty_page_and_form(self, planted, curator):
        text = page(curator, f"/snapshots/{planted.library.slug}/")
        assert "No snapshot yet" in text
        assert "catalogue (Legacy)" in text

    def test_form_asks_for_a_snapshot(self, planted, curator):
        from workers.jobs.run import run_inline

        address = f"/snapshots/{planted.library.slug}/"
        asked = {**self.DEFAULTS, "annotators": "catalogue", "min_support": "2"}
        assert curator.post(address, asked).status_code == 302
        job = Job.objects.get()
        assert job.arguments["selection"]["annotators"] == ["catalogue"]
        assert run_inline(job).result["tracks"] == 45
        text = page(curator, address)
        assert "by catalogue; labels with at least 2 positives" in text

    @pytest.mark.parametrize(
        ("over", "said"),
        [
            ({"since": "2022-01-01", "until": "2021-01-01"}, "lies after until"),
            ({"min_support": "0"}, "greater than or equal to 1"),
            ({"negatives": "x"}, "Select a valid choice"),
        ],
    )
    def test_what_cannot_be_is_said_at_the_form(self, planted, curator, over, said):
        answer = curator.post(f"/snapshots/{planted.library.slug}/", {**self.DEFAULTS, **over})
        assert said in answer.content.decode()
        assert Job.objects.count() == 0

    def test_preview_counts_and_takes_nothing(self, planted, curator):
        ana = make_annotator(planted.library, "Ana")
        catalogue(planted, range(12, 20), annotator=ana, kind="judgement", at="2024-05-01")
        address = f"/snapshots/{planted.library.slug}/"
        asked = {**self.DEFAULTS, "min_support": "2", "action": "preview"}
        text = curator.post(address, asked).content.decode()
        assert "<h2>Preview</h2>" in text
        assert "33 for training, 12 audit" in text
        for cells in (
            '<bdi>Ana</bdi> <span class="muted">person</span></td><td class="num">8</td>',
            '<bdi>catalogue</bdi> <span class="muted">legacy</span></td>'
            '<td class="num">45</td>',
        ):
            assert cells in text
        assert "judged by all selected: Ana, catalogue" not in text  # audit: catalogue alone
        assert "judged by all selected: catalogue" in text
        current = curator.post(address, asked | {"criteria": "current"}).content.decode()
        assert "8 for training, 0 audit" in current
        assert "The criteria of guideline 0, which is in force." in current
        assert "45</td>" not in current
        assert (Job.objects.count(), Snapshot.objects.count()) == (0, 0)

    def test_preview_says_why_nothing_could_be_learnt(self, planted, curator):
        address = f"/snapshots/{planted.library.slug}/"
        asked = {**self.DEFAULTS, "since": "2024-01-01", "action": "preview"}
        assert (
            "no answer matches this selection" in curator.post(address, asked).content.decode()
        )
        Annotator.objects.update(kind="person")
        GuidelineVersion.objects.create(
            library=planted.library, number=1, text="x", published_at=day("2024-01-01")
        )
        asked = {**self.DEFAULTS, "criteria": "current", "action": "preview"}
        assert "nobody is a current curator" in curator.post(address, asked).content.decode()

    def test_page_of_one_shows_its_spec_and_hash(self, planted, curator):
        chosen = snapshots.Selection(sources=("imported",), min_support=2, criteria="current")
        taken = snapshots.take_snapshot(planted.library, chosen)
        text = page(curator, f"/snapshots/{planted.library.slug}/1/")
        for part in (
            taken.hash, "source: imported", "33 for training, 12 audit",
            "nobody else has answered", "<dd>imported</dd>", "<td><bdi>Rock</bdi></td>",
        ):  # fmt: skip
            assert part in text
        assert curator.get(f"/snapshots/{planted.library.slug}/2/").status_code == 404
        assert 'href="/snapshots/' in page(curator, f"/snapshots/{planted.library.slug}/")

    def test_failed_snapshot_is_shown(self, planted, curator):
        Job.objects.create(
            library=planted.library, kind="snapshot", key="k", state="failed",
            reason="no answer matches",
        )  # fmt: skip
        text = page(curator, f"/snapshots/{planted.library.slug}/")
        assert "could not be taken: no answer matches" in text


def test_selection_in_words():
    selection = snapshots.Selection(facets=("genre",), since="2020-01-01", guidelines=(2,))
    assert describe_selection(selection) == (
        "facets genre; from 2020-01-01; under guideline 2; labels with at least 5 positives"
    )


def test_older_models_are_on_the_next_page(planted, curator, monkeypatch):
    turn(planted.library)
    first = ModelVersion.objects.get()
    for seed in (1, 2):
        run = TrainingRun.objects.create(
            library=planted.library, snapshot=first.run.snapshot, network="pooled",
            feature_set=first.run.feature_set, config={}, config_hash="x", seed=seed,
            started_at=first.created_at,
        )  # fmt: skip
        same = models.Trained("f", "s", ["a"], [0.5], {}, {}, {})
        models.register_model(run, same, models.Decision(False, "worse"))
    monkeypatch.setattr(model_rows, "MOST_ROWS", 2)
    address = f"/models/{planted.library.slug}/"
    newest, older = page(curator, address), page(curator, f"{address}?before=2")
    assert re.findall(r'data-model="(\d)"', newest) == ["3", "2"]
    assert 'href="?before=2"' in newest
    assert re.findall(r'data-model="(\d)"', older) == ["1"]
    assert "Older" not in older


def test_the_list_of_libraries_shows_the_skill_to_those_who_see_models(planted, curator):
    turn(planted.library)
    shown = ModelVersion.objects.get().metrics["headline"]
    line = f"Champion: model 1, skill {shown['skill']:+.2f} (95 % CI "
    assert line in page(curator, "/")
    curator.force_login(make_user(library=planted.library, role="annotator"))
    text = page(curator, "/")
    assert "Champion: model 1" in text
    assert line not in text
