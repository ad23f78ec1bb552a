"""A report for people: with names, sorted, and linked to tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from labeling.loop.registry import evaluation_records
from labeling.models import Library, Track
from labeling.templatetags.report_charts import has_values
from labeling.views.learning.headline_rows import (
    HINTS,
    NAMES,
    few_frequent,
    headline_figures_of,
)
from ml.evaluation import diagnosis
from ml.training.choice_effects import explain_choices

Report = dict[str, Any]
Row = dict[str, Any]

#: So many curves are drawn unless others are asked for.
MOST_CURVES = 12
#: Colour of the verdict's edge.
TONES = {
    diagnosis.USEFUL: "good",
    diagnosis.RANKS_ONLY: "warn",
    diagnosis.LIKE_GUESSING: "warn",
    diagnosis.NO_BETTER: "bad",
    diagnosis.MISLEADING: "bad",
}
_LAST = float("-inf")


@dataclass(frozen=True)
class ColumnHeading:
    """A column of the table of labels: where a click on it leads, and how it is sorted now."""

    key: str
    name: str
    query: str
    sorted: str
    is_number: bool


#: Column -> (heading, what a row is sorted by; text ascends first, numbers descend).
_COLUMNS: dict[str, tuple[str, Callable[[Row], Any]]] = {
    "name": ("Label", lambda row: row["name"].casefold()),
    "facet": ("Facet", lambda row: row["facet"].casefold()),
    "support": ("Positives", lambda row: row["support"]),
    "ap": ("AP", lambda row: _known(row["ap"])),
    "ap_ratio": ("AP / baseline", lambda row: _known(row["ap_ratio"])),
    "largest_output": ("Largest output", lambda row: _known(row["largest_output"])),
    "threshold": ("Threshold", lambda row: _known(row["threshold"])),
    "precision": ("Precision", lambda row: _known(row["precision"])),
    "recall": ("Recall", lambda row: _known(row["recall"])),
    "f1": ("F1", lambda row: _known(row["f1"])),
}
_TEXT = ("name", "facet")


def _known(value: float | None) -> float:
    return _LAST if value is None else value


@dataclass(frozen=True)
class ReportQuery:
    """The query of a report: order and facet of the labels, and which curves."""

    sort: str = "support"
    is_ascending: bool = False
    facet: str = ""
    curves: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ReportQuery:
        """Read the query; use defaults for invalid values."""
        text = query.get("sort", "")
        key = text.lstrip("-")
        if key not in _COLUMNS:
            return cls(facet=query.get("facet", ""), curves=query.get("curves", ""))
        return cls(
            sort=key,
            is_ascending=not text.startswith("-"),
            facet=query.get("facet", ""),
            curves=query.get("curves", ""),
        )

    def query(self, key: str) -> str:
        """Return the query that sorts by a column; the same column again turns the order."""
        ascends = not self.is_ascending if key == self.sort else key in _TEXT
        values = {"sort": f"{'' if ascends else '-'}{key}", "facet": self.facet}
        return urlencode({name: value for name, value in values.items() if value})


def headings(asked: ReportQuery) -> list[ColumnHeading]:
    """Return the columns of the table of labels."""
    order = "ascending" if asked.is_ascending else "descending"
    return [
        ColumnHeading(
            key, name, asked.query(key), order if key == asked.sort else "", key not in _TEXT
        )
        for key, (name, _) in _COLUMNS.items()
    ]


def report_label_rows(report: Report, asked: ReportQuery) -> list[Row]:
    """Return the labels of the facet asked for, in the order asked for, unknown ones last."""
    rows = [row for row in report["labels"] if asked.facet in ("", row["facet"])]
    value = _COLUMNS[asked.sort][1]
    rows.sort(key=lambda row: row["name"].casefold())
    rows.sort(key=value, reverse=not asked.is_ascending)
    return sorted(rows, key=lambda row: value(row) == _LAST)


def facets(report: Report) -> list[str]:
    """Return the facets of a report's labels, where there is more than one."""
    found = sorted({row["facet"] for row in report["labels"] if row["facet"]})
    return found if len(found) > 1 else []


def telling_names(labels: list[Row]) -> list[str]:
    """Return the names of labels, with the facet where two facets have the same one."""
    count = Counter(row["name"].casefold() for row in labels)
    return [
        f"{row['name']} ({row['facet']})"
        if count[row["name"].casefold()] > 1 and row["facet"]
        else row["name"]
        for row in labels
    ]


def _with_telling_names(labels: list[Row]) -> list[Row]:
    names = telling_names(labels)
    return [{**row, "name": name} for row, name in zip(labels, names, strict=True)]


def curve_rows(report: Report, asked: ReportQuery) -> list[Row]:
    """Return the labels whose curves are drawn: most frequent, all, or the one asked for."""
    curves = report["precision_recall"]
    rows = [row for row in _with_telling_names(report["labels"]) if curves.get(row["uid"])]
    rows.sort(key=lambda row: (-row["support"], row["name"].casefold()))
    if asked.curves == "all":
        chosen = rows
    else:
        chosen = [row for row in rows if row["uid"] == asked.curves] or rows[:MOST_CURVES]
    return [{**row, "curves": [curves[row["uid"]]]} for row in chosen]


def confusion_rows(report: Report) -> list[Row]:
    """Return the labels that each label is confused with, by name."""
    names = telling_names(report["labels"])
    return [
        {
            **row,
            "name": names[row["index"]],
            "instead": [
                {"name": names[one["index"]], "n": one["n"], "share": one["n"] / row["missed"]}
                for one in row["instead"]
            ],
        }
        for row in report["confusions"]
    ]


def mistake_rows(library: Library, report: Report, hidden: Container[int] = ()) -> list[Row]:
    """Return the worst mistakes with their tracks; a removed track keeps its row.

    The answers to a `hidden` track are left out: it is on its annotator's desk again.
    """
    rows = report["mistakes"]
    tracks = evaluation_records.tracks_by_uid(library, (row["track_uid"] for row in rows))
    names = telling_names(report["labels"])
    return [
        {
            **row,
            "track": (track := tracks.get(row["track_uid"])),
            "can_play": _can_play(track),
            "is_hidden": track is not None and track.pk in hidden,
            "label": names[row["index"]],
            "positives": [names[index] for index in row["positives"]],
            "said": [names[index] for index in row["said"]],
        }
        for row in rows
    ]


def _can_play(track: Track | None) -> bool:
    return track is not None and track.state == Track.State.READY


def never_rows(report: Report) -> list[Row]:
    """Return the labels that are never predicted, by kind of threshold, by name."""
    names = {row["uid"]: row["name"] for row in _with_telling_names(report["labels"])}
    said = {
        "raw_at_half": "before calibration at threshold 0.5",
        "at_half": "at threshold 0.5",
        "tuned": "at their tuned thresholds",
    }
    return [
        {"said": text, "n": len(found), "names": [names[uid] for uid in found]}
        for key, text in said.items()
        for found in [report["diagnosis"]["never"][key]]
    ]


def report_context(
    library: Library, report: Report, asked: ReportQuery, hidden: Container[int] = ()
) -> Row:
    """Return everything that the templates of a report show, but for answers of `hidden`."""
    mean = report["course"]["mean"]
    return {
        "report": report,
        "headline": headline_figures_of(report.get("headline"), report["message"]),
        "tone": TONES.get(report["verdict"]["text"], ""),
        "never": never_rows(report),
        "asked": asked,
        "headings": headings(asked),
        "label_rows": report_label_rows(report, asked),
        "facets": facets(report),
        "curve_rows": curve_rows(report, asked),
        "curve_choice": sorted(
            _with_telling_names(report["labels"]), key=lambda row: row["name"].casefold()
        ),
        "confusion_rows": confusion_rows(report),
        "mistake_rows": mistake_rows(library, report, hidden),
        "course": mean,
        "has_accuracy": has_values(mean["accuracy"]) or has_values(mean["validation_accuracy"]),
        "about": report["about"],
        "selection": _selection(report["about"]),
        "configuration": _configuration(report["about"].get("config", {})),
        "choices": explain_choices(report["about"].get("config", {})),
    }


def _selection(about: Row) -> list[tuple[str, str]]:
    """Return what a snapshot was asked for, as name and value, without what is empty."""
    chosen = about.get("snapshot", {}).get("selection", {})
    return [
        (name.replace("_", " "), _plain(value))
        for name, value in chosen.items()
        if value not in ("", None, [], ())
    ]


def _configuration(config: Row) -> list[tuple[str, Any]]:
    """Return what a training was set to, its options among the rest, without what is empty."""
    plain = [(name, value) for name, value in config.items() if name != "options" and value]
    return [*plain, *((name, value) for name, value in config.get("options") or [])]


def _plain(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


# --- comparing ------------------------------------------------------------------------------


def headline_rows(found: Report) -> list[Row]:
    """Return the metrics of all runs, one row per metric, each with its difference."""
    few = found["runs"][0]["headline"] if found["runs"] else None
    return [
        {
            "name": _name_of(key, found),
            "hint": hint,
            "is_signed": key == "skill",
            "cells": [
                {
                    "value": run["headline"][key],
                    "gap": (run["headline_differences"] or {}).get(key),
                }
                for run in found["runs"]
            ],
            "why_not": few_frequent(few) if key == "macro_ap_10" and few else "",
        }
        for key, hint in HINTS.items()
    ]


def _name_of(key: str, found: Report) -> str:
    if key == "macro_ap_10" and found["labels_10"]:
        of = found["runs"][0]["headline"]["labels"]
        return f"Macro AP of {found['labels_10']} of {of} labels"
    return NAMES[key][:1].upper() + NAMES[key][1:] if key != "lwlrap" else NAMES[key]


def difference_rows(found: Report) -> list[Row]:
    """Return the labels with the AP of each run, the largest difference first."""
    rows = [
        {**row, "cells": list(zip(row["ap"], row["differences"], strict=True))}
        for row in found["labels"]
    ]
    return sorted(rows, key=lambda row: -_largest(row["differences"]))


def _largest(differences: list[Row | None]) -> float:
    known = [
        abs(one["difference"])
        for one in differences
        if one is not None and one["difference"] is not None
    ]
    return max(known, default=_LAST)


def widest(found: Report) -> float:
    """Return the edge of the charts of differences: the largest bound of all."""
    gaps = [gap for row in found["labels"] for gap in row["differences"] if gap]
    bounds = [abs(gap[end]) for gap in gaps for end in ("lo", "hi") if gap[end] is not None]
    return max(bounds, default=0.0)


def compared_curves(found: Report) -> list[Row]:
    """Return the most frequent labels with a curve of each run."""
    rows = sorted(_with_telling_names(found["labels"]), key=lambda row: -row["support"])
    drawn = [
        {**row, "curves": found["precision_recall"][row["uid"]]}
        for row in rows
        if any(found["precision_recall"][row["uid"]])
    ]
    return drawn[:MOST_CURVES]
