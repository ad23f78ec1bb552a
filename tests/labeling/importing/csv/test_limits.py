"""Values that no engine can store are refused with their row; those within limits come in."""

from __future__ import annotations

import random

import pytest

from labeling.errors import BadInput
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import Annotator, Track

pytestmark = pytest.mark.django_db
#: Not compressible, as PostgreSQL would otherwise make room for it.
EMOJI = "".join(map(chr, random.Random(7).choices(range(0x1F300, 0x1F5FF), k=694)))
WIDENS = "ﷺ" * 20  # 18 characters each under NFKC


def load(tmp_path, rows, **options):
    path = tmp_path / "c.csv"
    lines = ["filename,annotator,genre", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return import_catalogue("lib", path, ImportOptions(**options))


def test_a_key_of_more_bytes_than_an_index_takes_is_refused(tmp_path):
    report = load(
        tmp_path, [(EMOJI, "", "Pop"), (EMOJI[:650], "", "Pop"), ("b.mp3", "", "Pop")]
    )
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(2, "filename")]
    assert "bytes" in report["errors"][0]["message"]
    assert set(Track.objects.values_list("key", flat=True)) == {EMOJI[:650], "b.mp3"}


def test_an_annotator_whose_name_grows_when_folded_is_refused(tmp_path):
    report = load(tmp_path, [("a.mp3", WIDENS, "Pop"), ("b.mp3", "ß" * 75, "Pop")])
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(2, "annotator")]
    assert Annotator.objects.get().name_key == "s" * 150


def test_the_annotator_of_the_whole_file_has_the_same_limit(tmp_path):
    with pytest.raises(BadInput, match="150 characters"):
        load(tmp_path, [("a.mp3", "", "Pop")], annotator=WIDENS)
    assert not Track.objects.exists()
