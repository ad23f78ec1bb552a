from __future__ import annotations

import pytest

from labeling.loop.importing import split_groups
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import Track
from tests.factories import make_library, make_track

pytestmark = pytest.mark.django_db


@pytest.fixture
def load(tmp_path):
    def run(rows):
        path = tmp_path / "c.csv"
        lines = ["filename,album,family", *(",".join(row) for row in rows)]
        path.write_text("\n".join(lines))
        import_catalogue("lib", path, ImportOptions())

    return run


def groups():
    found: dict[str, set[str]] = {}
    for key, group in Track.objects.values_list("key", "split_group"):
        found.setdefault(group, set()).add(key)
    return sorted(map(sorted, found.values()))


def audit():
    return set(Track.objects.filter(is_audit=True).values_list("key", flat=True))


def test_tracks_of_an_album_or_family_stay_together(load):
    load([["1", "X", ""], ["2", "x ", "f"], ["3", "", "F"], ["4", "", ""], ["5", "Y", ""]])
    assert groups() == [["1", "2", "3"], ["4"], ["5"]]


def test_first_import_has_the_audit_share_and_eight_groups(load):
    load([[f"{n}", f"album {n // 5}", ""] for n in range(500)])
    assert 90 <= len(audit()) <= 115
    by_group = Track.objects.filter(is_audit=True).order_by().values("split_group").distinct()
    assert len(by_group) >= 8
    sides = Track.objects.order_by().values_list("split_group", "is_audit").distinct()
    assert len(sides) == 100


def test_later_imports_keep_who_is_on_which_side(load):
    rows = [[f"{n}", f"album {n // 2}", ""] for n in range(200)]
    load(rows)
    before = audit()
    load(rows + [[f"new {n}", f"album {n}", ""] for n in range(300)])
    now = audit()
    assert before == {key for key in now if not key.startswith("new")}
    joined = {f"new {n}" for n in range(100)} & now
    assert joined == {f"new {n}" for n in range(100) if f"{2 * n}" in before}
    fresh = {f"new {n}" for n in range(100, 300)} & now
    assert 20 <= len(fresh) <= 65


def test_catalogue_in_pieces_gets_an_audit_side_too(load):
    for n in range(40):
        load([[f"{n}", "", ""]])
    assert 8 <= len(audit()) <= 20


def test_audit_wins_when_groups_merge():
    library = make_library()
    one = make_track(library, "1", album="A", split_group="a", is_audit=True)
    two = make_track(library, "2", album="B", split_group="b")
    placing = split_groups.place_tracks(library, [("3", "f", "A"), ("4", "f", "B")])
    split_groups.move_tracks(placing)
    assert {row.is_audit for row in placing.incoming.values()} == {True}
    for track in (one, two):
        track.refresh_from_db()
    assert (one.is_audit, two.is_audit, one.split_group) == (True, True, two.split_group)
    assert placing.incoming["3"].split_group == one.split_group


def test_nothing_new_places_nothing():
    library = make_library()
    make_track(library, "1", album="A")
    placing = split_groups.place_tracks(library, [("1", "", "A"), ("1", "", "")])
    assert (placing.incoming, placing.moved) == ({}, {})
