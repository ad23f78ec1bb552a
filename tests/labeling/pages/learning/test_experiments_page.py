"""The recipes on the Models page, and the buttons of managers."""

from __future__ import annotations

import pytest
from django.utils.html import escape

from labeling.models import Annotator, GuidelineVersion, Job
from ml.training import recipes
from tests.answers import day
from tests.factories import make_annotator, make_user
from tests.planted_library import catalogue, plant
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    return plant(n_tracks=45, n_audit=12)


@pytest.fixture
def address(planted):
    return f"/models/{planted.library.slug}/"


@pytest.fixture
def manager(planted, client):
    client.force_login(make_user(library=planted.library, role="manager"))
    return client


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_recipes_are_told(manager, address):
    text = page(manager, address)
    for found in recipes.RECIPES.values():
        assert escape(found.title) in text
        assert escape(found.summary) in text
    assert text.count("never promoted automatically") == 2  # those of the study
    assert text.count("Train with this recipe") == len(recipes.RECIPES)


def test_button_asks_for_a_training_once(manager, address):
    asked = f"{address}recipes/audiotag/train/"
    manager.post(asked)
    job = Job.objects.get()
    assert job.arguments["recipe"] == "audiotag"
    assert job.arguments["then"] == ["predict", "rank"]
    assert "already running" in manager.post(asked, follow=True).content.decode()
    assert Job.objects.count() == 1


def test_curators_read_and_do_not_ask(planted, client, address):
    client.force_login(make_user(library=planted.library, role="curator"))
    text = page(client, address)
    assert "Train with this recipe" not in text
    assert "Train on all three" not in text
    for part in ("recipes/audiotag/train/", "criteria/"):
        assert client.post(f"{address}{part}").status_code == 403
    assert Job.objects.count() == 0


def test_features_of_a_recipe_come_first(manager, address):
    manager.post(f"{address}recipes/seed-2019/train/")
    job = Job.objects.get()
    assert (job.kind, job.arguments["features"]) == ("features", "seed-1s")
    assert job.arguments["selection"]["top_labels"] == 29


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("recipes/soup/train/", "there is no recipe"),
        ("recipes/seed-next/train/", "nobody is a current curator"),
        ("criteria/", "nobody is a current curator"),
    ],
)
def test_what_cannot_be_asked_for(planted, manager, address, path, message):
    Annotator.objects.update(kind="person")
    GuidelineVersion.objects.create(
        library=planted.library, number=1, published_at=day("2024-01-01")
    )
    assert message in manager.post(f"{address}{path}", follow=True).content.decode()
    assert Job.objects.count() == 0


def test_three_trainings_are_compared_on_the_page(planted, manager, address):
    ana = make_annotator(planted.library, "Ana")
    catalogue(planted, range(45), annotator=ana, kind="judgement", at="2024-05-01")
    manager.post(f"{address}criteria/")
    again = manager.post(f"{address}criteria/", follow=True)
    assert "already running" in again.content.decode()
    assert run_inline(Job.objects.get()).state == "done"
    text = page(manager, address)
    assert "12 audit tracks, 3 labels, judged by the current curator: Ana" in text
    for arm in ("everybody", "legacy", "current curator"):
        assert f"<td>{arm}</td>" in text
    text = page(manager, f"{address}2/")
    assert "This model is one of three that were trained the same way" in text
    assert "<td>legacy</td><td>this one</td>" in text
    assert f'href="{address}compare/?model=1&amp;model=2&amp;model=3"' in text
