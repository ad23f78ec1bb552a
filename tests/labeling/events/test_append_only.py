from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from labeling.models import GuidelineVersion, LabelSet
from tests.factories import make_library

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("action", ["update", "delete"])
def test_published_guideline_cannot_be_changed(action):
    library = make_library()
    rows = GuidelineVersion.objects.filter(library=library, number=0)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        rows.update(text="rewritten") if action == "update" else rows.delete()
    assert rows.get().text == ""


def test_draft_guideline_can_be_changed_until_it_is_published():
    library = make_library()
    draft = GuidelineVersion.objects.create(library=library, number=1, text="a")
    draft.text, draft.published_at = "b", timezone.now()
    draft.save()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        GuidelineVersion.objects.filter(pk=draft.pk).update(text="c")


def test_label_set_is_frozen():
    library = make_library()
    row = LabelSet.objects.create(facet=library.facets.first(), number=1, hash="x")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        LabelSet.objects.filter(pk=row.pk).update(hash="y")


def test_triggers_are_there_for_every_event_table():
    from labeling.append_only import GUARDED

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
        else:
            cursor.execute(
                "SELECT event_object_table, trigger_name FROM information_schema.triggers"
            )
        found = {table for table, _ in cursor.fetchall()}
    assert set(GUARDED) <= found
