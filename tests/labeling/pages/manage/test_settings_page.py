"""The Settings page: managers manage members and settings without the admin site."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from labeling.models import Annotator, Library, Membership
from tests.factories import make_library, make_track, make_user

pytestmark = pytest.mark.django_db
ADDRESS = "/settings/lib/"


@pytest.fixture
def library():
    return make_library("lib")


@pytest.fixture
def manager(library, client):
    client.user = make_user("mara", library=library, role="manager")
    client.force_login(client.user)
    return client


def values(library, **over):
    names = (
        "name", "retrain_after", "network", "serve_audit_share", "overlap_share",
        "repeat_share", "explore_share", "overlap_answers", "repeat_min_days",
        "lease_minutes", "audit_share",
    )  # fmt: skip
    return {name: getattr(library, name) for name in names} | {"shows_suggestions": "on"} | over


def said(answer):
    return answer.content.decode()


def test_members_are_listed_and_the_area_is_in_the_bar(manager, library):
    make_user("ana", library=library, role="annotator")
    text = said(manager.get(ADDRESS))
    assert "<bdi>ana</bdi>" in text
    assert '<a href="/settings/lib/" aria-current="page">Settings</a>' in text


@pytest.mark.parametrize("role", ["annotator", "curator"])
def test_others_neither_see_nor_change_it(client, library, role):
    ana = make_user("ana", library=library, role=role)
    client.force_login(ana)
    own = Membership.objects.get(user=ana)
    for answer in (
        client.get(ADDRESS),
        client.post(ADDRESS, values(library, retrain_after=1)),
        client.post(f"{ADDRESS}members/", {"name": "ana", "role": "manager"}),
        client.post(f"{ADDRESS}members/{own.pk}/", {"role": "manager"}),
    ):
        assert answer.status_code == 403
    own.refresh_from_db()
    assert own.role == role
    assert "/settings/" not in said(client.get("/tracks/lib/"))


class TestMembers:
    def test_add_change_and_remove(self, manager, library):
        ben = make_user("ben")
        manager.post(f"{ADDRESS}members/", {"name": " ben ", "role": "annotator"})
        row = Membership.objects.get(user=ben, library=library)
        assert row.role == "annotator"
        assert Annotator.objects.filter(library=library, user=ben).exists()
        manager.post(f"{ADDRESS}members/{row.pk}/", {"role": "curator"})
        row.refresh_from_db()
        assert row.role == "curator"
        manager.post(f"{ADDRESS}members/{row.pk}/", {"action": "remove"})
        assert not Membership.objects.filter(user=ben).exists()
        assert Annotator.objects.filter(library=library, user=ben).exists()  # answers stay
        assert User.objects.filter(username="ben", is_active=True).exists()

    @pytest.mark.parametrize(
        ("name", "role", "message"),
        [
            ("nobody", "annotator", "there is no user"),
            ("nul\0", "annotator", "there is no user"),
            ("mara", "annotator", "mara is already a member"),
            ("ben", "king", "there is no role"),
        ],
    )
    def test_what_cannot_be_added(self, manager, library, name, role, message):
        make_user("ben")
        answer = manager.post(f"{ADDRESS}members/", {"name": name, "role": role}, follow=True)
        assert message in said(answer)
        assert Membership.objects.count() == 1

    def test_the_only_manager_stays_one(self, manager, library):
        own = Membership.objects.get(user=manager.user)
        for asked in ({"action": "remove"}, {"role": "curator"}):
            answer = manager.post(f"{ADDRESS}members/{own.pk}/", asked, follow=True)
            assert "is the only manager" in said(answer)
        own.refresh_from_db()
        assert own.role == "manager"
        closed = make_user("gone", library=library, role="manager", is_active=False)
        assert "is the only manager" in said(
            manager.post(f"{ADDRESS}members/{own.pk}/", {"action": "remove"}, follow=True)
        )
        User.objects.filter(pk=closed.pk).update(is_active=True)
        assert (
            manager.post(f"{ADDRESS}members/{own.pk}/", {"role": "curator"}).status_code == 302
        )
        own.refresh_from_db()
        assert own.role == "curator"

    def test_members_of_other_libraries_are_out_of_reach(self, manager, library):
        other = make_library("other")
        make_user("omar", library=other, role="manager")
        theirs = Membership.objects.get(library=other)
        answer = manager.post(
            f"{ADDRESS}members/{theirs.pk}/", {"action": "remove"}, follow=True
        )
        assert "has been removed" in said(answer)
        assert Membership.objects.filter(pk=theirs.pk).exists()
        assert manager.get("/settings/other/").status_code == 404


class TestSettings:
    def test_settings_are_kept(self, manager, library):
        asked = values(
            library, name="Ours", retrain_after=50, explore_share=0.2, lease_minutes=30
        )
        assert manager.post(ADDRESS, asked | {"slug": "x"}).status_code == 302
        kept = Library.objects.get(pk=library.pk)
        assert (kept.name, kept.retrain_after, kept.lease_minutes) == ("Ours", 50, 30)
        assert (kept.explore_share, kept.slug, kept.shows_suggestions) == (0.2, "lib", True)
        del asked["shows_suggestions"]
        manager.post(ADDRESS, asked)
        assert not Library.objects.get(pk=library.pk).shows_suggestions

    @pytest.mark.parametrize(
        ("over", "message"),
        [
            ({"serve_audit_share": 0.9, "explore_share": 0.3}, "together at most 1"),
            ({"overlap_share": -0.1}, "greater than or equal to 0"),
            ({"retrain_after": -1}, "greater than or equal to 0"),
            ({"network": "deep-thought"}, "Select a valid choice"),
            ({"lease_minutes": 0}, "greater than or equal to 1"),
            ({"overlap_answers": 1}, "greater than or equal to 2"),
            ({"name": ""}, "required"),
        ],
    )
    def test_what_cannot_be_is_refused_and_nothing_changes(
        self, manager, library, over, message
    ):
        before = Library.objects.filter(pk=library.pk).values().get()
        answer = manager.post(ADDRESS, values(library, retrain_after=77) | over)
        assert answer.status_code == 400
        assert message in said(answer)
        assert Library.objects.filter(pk=library.pk).values().get() == before

    def test_audit_share_is_fixed_once_there_are_tracks(self, manager, library):
        manager.post(ADDRESS, values(library, audit_share=0.3))
        assert Library.objects.get(pk=library.pk).audit_share == 0.3
        make_track(library)
        manager.post(ADDRESS, values(library, audit_share=0.01, retrain_after=5))
        kept = Library.objects.get(pk=library.pk)
        assert (kept.audit_share, kept.retrain_after) == (0.3, 5)
        assert "a track never changes sides" in said(manager.get(ADDRESS))


def test_it_says_why_nothing_is_suggested(manager, library):
    assert "There is no champion yet, so nothing is suggested." in said(manager.get(ADDRESS))
    Library.objects.update(shows_suggestions=False)
    assert "so nothing is suggested" not in said(manager.get(ADDRESS))
