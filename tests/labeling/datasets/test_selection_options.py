"""The words by which commands choose answers."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Snapshot
from tests.factories import make_annotator
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


def take(library, *arguments):
    out = io.StringIO()
    call_command("take_snapshot", "--library", library.slug, "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def planted():
    planted = plant()
    planted.ana = make_annotator(planted.library, "Ana")
    catalogue(planted, range(30, 60), annotator=planted.ana, kind="judgement", at="2024-05-01")
    return planted


@pytest.mark.parametrize(
    ("arguments", "tracks"),
    [
        ((), 60),
        (("--source", "judgement"), 30),
        (("--source", "imported, judgement"), 60),
        (("--criteria", "current"), 30),
        (("--criteria", "legacy"), 60),
        (("--annotators", "ANA"), 30),
        (("--annotator-kinds", "legacy"), 60),
        (("--since", "2024-05-01", "--until", "2024-05-01"), 30),
        (("--until", "9999-12-31"), 60),
        (("--guideline", "0"), 60),
    ],
)
def test_selections(planted, arguments, tracks):
    answer = take(planted.library, *arguments)
    assert answer["tracks"] == tracks
    assert answer["hash"] == Snapshot.objects.get().hash
    assert answer["selection"] == Snapshot.objects.get().selection
    assert sum(one["tracks"] for one in answer["annotators"]) >= tracks


def test_others(planted):
    answer = take(planted.library, "--others", "fold", "--top-labels", "1")
    names = [one["name"] for one in Snapshot.objects.get().facts["labels"]]
    assert answer["labels"] == 2
    assert names[1] == "Others"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--criteria", "mine"),
        ("--criteria", "each"),  # is for `train`
        ("--source", "hearsay"),
        ("--guideline", "one"),
        ("--import-batch", "7"),
        ("--annotator-kinds", "robot"),
    ],
)
def test_what_there_is_not_ends_with_2(planted, arguments):
    with pytest.raises(CommandError) as refused:
        take(planted.library, *arguments)
    assert refused.value.returncode == 2
    assert Snapshot.objects.count() == 0


def test_days_are_utc_wherever_the_site_is(planted, settings, capsys):
    settings.TIME_ZONE = "America/New_York"  # there it was still April
    assert (
        take(planted.library, "--source", "judgement", "--since", "2024-05-01")["tracks"] == 30
    )
    with pytest.raises(SystemExit):
        call_command("take_snapshot", "--help")
    assert capsys.readouterr().out.count("UTC day") == 2
