from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.errors import BadInput
from labeling.loop.library import guidelines, libraries
from labeling.models import GuidelineVersion, Receipt
from tests.factories import make_library, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library("studio")


def log_in(client, library, role):
    user = make_user(library=library, role=role)
    client.force_login(user)
    return user


def send(client, library, **data):
    return client.post(reverse("guidelines_change", args=[library.slug]), data, follow=True)


def test_a_library_has_one_draft_and_saving_again_changes_it(library):
    first = guidelines.save_draft(library, "  one\r\ntwo ")
    second = guidelines.save_draft(library, "three")
    assert (first.pk, second.text, second.number) == (second.pk, "three", 1)
    assert libraries.guideline_in_force(library).number == 0


def test_publishing_puts_the_draft_in_force_for_good(library):
    guidelines.save_draft(library, "one")
    published = guidelines.publish(library)
    assert libraries.guideline_in_force(library) == published
    assert guidelines.draft_of(library) is None
    assert guidelines.save_draft(library, "two").number == 2
    guidelines.discard_draft(library)
    assert GuidelineVersion.objects.get(library=library, number=1).text == "one"
    assert guidelines.draft_of(library) is None


def test_publishing_without_a_draft_or_without_a_change_is_refused(library):
    with pytest.raises(BadInput, match="no draft"):
        guidelines.publish(library)
    guidelines.save_draft(library, "one")
    guidelines.publish(library)
    guidelines.save_draft(library, "one")
    with pytest.raises(BadInput, match="the version in force"):
        guidelines.publish(library)


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (guidelines.LONGEST + 1), "a\0b"])
def test_text_that_is_none_is_refused(library, text):
    with pytest.raises(BadInput):
        guidelines.save_draft(library, text)
    assert guidelines.draft_of(library) is None


def test_receipt_is_given_once_and_only_for_what_is_in_force(library):
    guidelines.save_draft(library, "one")
    first = guidelines.publish(library)
    annotator = libraries.annotator_of(library, make_user(library=library))
    assert not guidelines.has_read(first, annotator)
    assert guidelines.acknowledge(first, annotator) == guidelines.acknowledge(first, annotator)
    assert guidelines.has_read(first, annotator)
    guidelines.save_draft(library, "two")
    second = guidelines.publish(library)
    with pytest.raises(BadInput, match="another version"):
        guidelines.acknowledge(first, annotator)
    assert not guidelines.has_read(second, annotator)


def test_page_shows_text_as_paragraphs_and_never_as_markup(client, library):
    log_in(client, library, "annotator")
    guidelines.save_draft(library, "First <b>rule</b>.\n\nSecond rule.")
    guidelines.publish(library)
    guidelines.save_draft(library, "a secret draft")
    body = client.get(reverse("guidelines", args=["studio"])).content.decode()
    assert "<p>First &lt;b&gt;rule&lt;/b&gt;.</p>" in body
    assert "<p>Second rule.</p>" in body
    assert "a secret draft" not in body


def test_empty_page_says_what_a_guideline_is_for(client, library):
    log_in(client, library, "curator")
    body = client.get(reverse("guidelines", args=["studio"])).content.decode()
    assert "No guideline yet" in body
    assert "Write the first one below" in body


def test_curator_drafts_publishes_and_annotator_acknowledges(client, library):
    log_in(client, library, "curator")
    send(client, library, text="Listen to the middle.", action="save")
    assert guidelines.draft_of(library).text == "Listen to the middle."
    page = send(client, library, text="Listen to the whole.", action="publish")
    assert "Version 1 is in force." in page.content.decode()
    reader = log_in(client, library, "annotator")
    address = reverse("guidelines_acknowledge", args=["studio", 1])
    assert "you have read version 1" in client.post(address, follow=True).content.decode()
    assert Receipt.objects.get().annotator.user == reader
    client.post(address)
    assert Receipt.objects.count() == 1


def test_what_was_typed_is_kept_when_it_is_refused(client, library):
    log_in(client, library, "curator")
    send(client, library, text="one", action="publish")
    page = send(client, library, text="one", action="publish")
    assert page.status_code == 400
    assert "the version in force" in page.content.decode()


def test_annotators_may_not_write(client, library):
    log_in(client, library, "annotator")
    assert send(client, library, text="mine", action="publish").status_code == 403
    assert guidelines.draft_of(library) is None


def test_version_that_is_not_there_is_no_receipt(client, library):
    log_in(client, library, "annotator")
    page = client.post(reverse("guidelines_acknowledge", args=["studio", 9]), follow=True)
    assert "this version does not exist" in page.content.decode()
