"""The recipes and comparisons on the Experiments page, for managers only."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils.html import escape

from labeling.models import Annotator, GuidelineVersion, Job
from ml.training import recipes
from ml.types import TrainingConfig
from tests.answers import day
from tests.factories import make_annotator, make_user
from tests.planted_library import catalogue, plant
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


FAST = replace(
    recipes.AUDIOTAG,
    name="fast",
    title="Fast",
    training=TrainingConfig(network="pooled-numpy", epochs=2),
    selection=replace(recipes.AUDIOTAG.selection, min_support=2),
)


@pytest.fixture
def planted():
    return plant(n_tracks=45, n_audit=12)


@pytest.fixture
def address(planted):
    return f"/models/{planted.library.slug}/"


@pytest.fixture
def experiments(planted):
    return f"/experiments/{planted.library.slug}/"


@pytest.fixture
def manager(planted, client):
    client.force_login(make_user(library=planted.library, role="manager"))
    return client


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_recipes_are_told(manager, experiments):
    text = page(manager, experiments)
    for found in recipes.RECIPES.values():
        assert escape(found.title) in text
        assert escape(found.summary) in text
    assert text.count("never promoted automatically") == 2  # those of the study
    assert text.count("Train with this recipe") == len(recipes.RECIPES)


def test_button_asks_for_a_training_once(manager, address, experiments):
    asked = f"{address}recipes/audiotag/train/"
    assert asked in page(manager, experiments)
    manager.post(asked)
    job = Job.objects.get()
    assert job.arguments["recipe"] == "audiotag"
    assert job.arguments["then"] == ["predict", "rank"]
    assert "already running" in manager.post(asked, follow=True).content.decode()
    assert Job.objects.count() == 1


def test_curators_read_and_do_not_ask(planted, client, address, experiments):
    client.force_login(make_user(library=planted.library, role="curator"))
    assert client.get(experiments).status_code == 403
    text = page(client, address)
    assert experiments not in text
    assert "Train with this recipe" not in text
    assert "Train on all three" not in text
    for part in ("recipes/audiotag/train/", "criteria/"):
        assert client.post(f"{address}{part}").status_code == 403
    assert Job.objects.count() == 0


def test_the_models_page_links_to_the_recipes_and_does_not_list_them(manager, address):
    text = page(manager, address)
    assert text.count(f'href="{address.replace("models", "experiments")}"') == 2  # bar and text
    for found in recipes.RECIPES.values():
        assert escape(found.title) not in text
    for words in ("Train with this recipe", "Train on all three", 'id="recipes"'):
        assert words not in text
    assert f'action="{address}train/"' in text


def test_a_running_training_disables_the_recipes(manager, address, experiments):
    assert "disabled" not in page(manager, experiments)
    manager.post(f"{address}recipes/audiotag/train/")
    text = page(manager, experiments)
    assert text.count("disabled") == len(recipes.RECIPES)
    assert "A training is running" in text


def test_requests_lead_back_to_the_page(manager, address, experiments):
    for part in ("recipes/audiotag/train/", "recipes/soup/train/", "criteria/"):
        answer = manager.post(f"{address}{part}")
        assert (answer.status_code, answer.url) == (302, experiments)
        assert manager.get(f"{address}{part}").status_code == 405


def test_models_of_the_recipes_are_linked_and_compared(
    planted, manager, address, experiments, monkeypatch
):
    for found in (FAST, replace(FAST, name="other", title="Other")):
        monkeypatch.setitem(recipes.RECIPES, found.name, found)
    for name in ("fast", "other"):
        assert "Compare the newest models" not in page(manager, experiments)
        manager.post(f"{address}recipes/{name}/train/")
        assert run_inline(Job.objects.get(kind="train", state="queued")).state == "done"
        Job.objects.filter(state="queued").update(state="cancelled")
    text = page(manager, experiments)
    assert f'<a href="{address}1/">1</a>' in text
    assert f'<a href="{address}2/">2</a>' in text
    compare = f"{address}compare/?model=1&amp;model=2"
    assert f'<a href="{compare}">Compare the newest models of the recipes</a>' in text
    assert "Model 2" in page(manager, compare.replace("&amp;", "&"))
    planted.library.models.filter(number=2).update(folder="")
    assert "Compare the newest models" not in page(manager, experiments)


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


def test_three_trainings_are_compared_on_the_page(planted, manager, address, experiments):
    ana = make_annotator(planted.library, "Ana")
    catalogue(planted, range(45), annotator=ana, kind="judgement", at="2024-05-01")
    manager.post(f"{address}criteria/")
    again = manager.post(f"{address}criteria/", follow=True)
    assert "already running" in again.content.decode()
    assert run_inline(Job.objects.get()).state == "done"
    text = page(manager, experiments)
    full = f'href="{address}compare/?model=1&amp;model=2&amp;model=3"'
    assert full in text
    assert "12 audit tracks, 3 labels, judged by the current curator: Ana" in text
    for arm in ("everybody", "legacy", "current curator"):
        assert f"<td>{arm}</td>" in text
    text = page(manager, f"{address}2/")
    assert "This model is one of three that were trained the same way" in text
    assert "<td>legacy</td><td>this one</td>" in text
    assert full in text
