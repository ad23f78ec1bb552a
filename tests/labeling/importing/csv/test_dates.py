"""Dates of a catalogue, read in the form that was chosen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from labeling.loop.importing.csv.dates import date_examples, read_moment


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("2019-05-31", "iso", (2019, 5, 31)),
        ("2019-05-31T10:00:00+02:00", "iso", (2019, 5, 31, 8)),
        ("03/04/2019", "dmy", (2019, 4, 3)),
        ("03/04/2019", "mdy", (2019, 3, 4)),
        ("3.4.19", "dmy", (2019, 4, 3)),
        ("31-12-1998 23:59", "dmy", (1998, 12, 31, 23, 59)),
        ("1/2/91", "dmy", (1991, 2, 1)),
        ("1/2/89", "dmy", None),
        ("12/31/2019, 12:05:07 AM", "mdy", (2019, 12, 31, 0, 5, 7)),
        ("12/31/2019 1:05 pm", "mdy", (2019, 12, 31, 13, 5)),
        ("12/31/2019 13:05 pm", "mdy", None),
        ("2019-05-31", "dmy", (2019, 5, 31)),
        ("31/12.2019", "dmy", None),
        ("31/12/2019", "mdy", None),
        ("1559296800", "unix", (2019, 5, 31, 10)),
        ("1559296800000", "unix", (2019, 5, 31, 10)),
        ("1559296800.25", "unix", (2019, 5, 31, 10, 0, 0, 250_000)),
        ("43616", "excel", (2019, 5, 31)),
        ("43616.416666666664", "excel", (2019, 5, 31, 10)),
        ("43616,5", "excel", (2019, 5, 31, 12)),
        ("1559296800", "excel", None),
        ("43616", "unix", None),
        ("43616", "iso", None),
        ("9" * 16, "unix", None),
        ("soon", "excel", None),
    ],
)
def test_a_date_is_read_in_its_form_only(text, form, moment):
    if moment is None:
        with pytest.raises(ValueError, match=r"."):
            read_moment(text, form)
    else:
        assert read_moment(text, form) == datetime(*moment, tzinfo=UTC)


def test_a_date_of_another_form_names_the_forms_that_fit():
    with pytest.raises(ValueError, match=r"read the dates as dmy or mdy \(--dates\)"):
        read_moment("03/04/2019")
    with pytest.raises(ValueError, match=r"as month/day/year.*read the dates as dmy"):
        read_moment("31/12/2019", "mdy")


def test_examples_show_how_the_first_cells_are_read():
    shown = {one.form: one for one in date_examples(["03/04/2019", "05/04/2019 10:30"])}
    assert shown["dmy"].read == ["03 April 2019", "05 April 2019 10:30 UTC"]
    assert shown["mdy"].read == ["04 March 2019", "04 May 2019 10:30 UTC"]
    assert shown["dmy"].fits
    assert not shown["iso"].fits
