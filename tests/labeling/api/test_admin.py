from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from labeling.admin import ReadOnlyAdmin
from labeling.models import Annotation, Annotator, Answer, Facet, Judgement, Library, Track
from tests.factories import make_annotator, make_labels, make_library, make_track, make_user
from tests.labeling.histories import offer, say

pytestmark = pytest.mark.django_db
MODELS = sorted(apps.get_app_config("labeling").get_models(), key=lambda model: model.__name__)
EVENTS = (Annotation, Answer, Judgement)


@pytest.fixture
def event():
    library = make_library("studio")
    labels = make_labels(library)
    return say(
        make_annotator(library, "ana"), make_track(library), [labels[0]], offered=offer(labels)
    )


@pytest.fixture
def root(client):
    user = make_user("root", is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


def address(model, page, *args):
    return reverse(f"admin:labeling_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_a_list_that_opens_and_searches(model, root, event):
    assert admin.site.is_registered(model)
    assert root.get(address(model, "changelist")).status_code == 200
    if admin.site.get_model_admin(model).search_fields:
        assert root.get(address(model, "changelist"), {"q": "ana"}).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_row_opens(model, root, event):
    for row in model._default_manager.all()[:2]:
        assert root.get(address(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", EVENTS, ids=lambda model: model.__name__)
def test_events_cannot_be_written_even_by_a_superuser(model, root, event):
    row = model._default_manager.first()
    assert root.get(address(model, "add")).status_code == 403
    assert root.post(address(model, "change", row.pk), {"note": "x"}).status_code == 403
    assert root.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert isinstance(admin.site.get_model_admin(model), ReadOnlyAdmin)


def test_staff_with_every_permission_cannot_either(client, event):
    user = make_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="labeling"))
    client.force_login(user)
    assert client.post(address(Annotation, "change", event.pk), {}).status_code == 403
    body = client.get(address(Annotation, "change", event.pk)).content.decode()
    assert 'name="_save"' not in body


def test_action_that_deletes_is_nowhere(root, event):
    for model in (Annotation, Track, Library):
        assert "delete_selected" not in root.get(address(model, "changelist")).content.decode()


def test_list_of_annotations_does_not_ask_once_a_row(root, django_assert_max_num_queries):
    library = make_library()
    labels = make_labels(library)
    offered, ana = offer(labels), make_annotator(library)
    for _ in range(20):
        say(ana, make_track(library), [labels[0]], offered=offered)
    with django_assert_max_num_queries(12):
        root.get(address(Annotation, "changelist"))


def test_settings_of_a_library_can_be_changed(root, event):
    library = Library.objects.get(slug="studio")
    page = root.get(address(Library, "change", library.pk))
    data = {
        name: value
        for name, value in page.context["adminform"].form.initial.items()
        if value is not None
    }
    data |= {
        "retrain_after": 35,
        "shows_suggestions": "on",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
    }
    data.pop("is_synthetic", None)
    assert root.post(address(Library, "change", library.pk), data).status_code == 302
    library.refresh_from_db()
    assert library.retrain_after == 35


def test_pages_have_our_mark_and_no_script_that_our_policy_would_block(root):
    for address_ in (
        reverse("admin:index"),
        reverse("admin:django_celery_beat_periodictask_add"),
    ):
        page = root.get(address_).content.decode()
        assert re.search(r'<link rel="icon" href="[^"]*mark\.svg"', page)
        scripts = re.findall(r"<script\b[^>]*>", page)
        assert all("src=" in one or "application/json" in one for one in scripts)
    assert "labeling/admin/crontab.js" in page


def test_the_index_names_uploads_in_english(root):
    assert "Import batches" in root.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("model", [Track, Annotator], ids=lambda model: model.__name__)
def test_nobody_moves_a_row_to_another_library(model, root, event):
    row = model._default_manager.get()
    form = root.get(address(model, "change", row.pk)).context["adminform"].form
    assert "library" not in form.fields
    data = {name: value for name, value in form.initial.items() if value is not None}
    data |= {"library": make_library("other").pk}
    data |= {"title": "New"} if model is Track else {"kind": "model"}
    assert root.post(address(model, "change", row.pk), data).status_code == 302
    row.refresh_from_db()
    assert row.library.slug == "studio"
    assert "New" in row.title if model is Track else row.kind == "model"


def test_a_new_annotator_is_given_a_library(root):
    assert "library" in root.get(address(Annotator, "add")).context["adminform"].form.fields


@pytest.mark.parametrize("model", [Facet, Annotator], ids=lambda model: model.__name__)
def test_a_new_name_gets_its_key_and_hides_nothing(model, root):
    library = make_library("lib")
    form = {"library": library.pk, "name": "Tem\u200bpo", "position": 9, "kind": "legacy"}
    form |= {"min_labels": 0, "max_labels": 0, "served": 0}
    assert root.post(address(model, "add"), form).status_code == 302
    row = model.objects.get(library=library, name="Tempo")
    assert row.name_key == "tempo"
    for name, words in (("\ufeffTEMPO", "taken"), ("\u200b", "people can see")):
        page = root.post(address(model, "add"), form | {"name": name})
        assert words in page.content.decode()
    assert model.objects.filter(library=library, name_key="tempo").count() == 1
