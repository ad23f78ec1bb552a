"""Staging: all valid rows of a catalogue on disk, until the whole file has been read.

Rows of one track may be far apart in the file, and a label set must know every value of it
before the first answer is written. A private, temporary SQLite file holds the rows, so that
memory does not grow with the catalogue.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from labeling.errors import BadInput
from labeling.loop.importing.csv.rows import Row
from labeling.names import name_key

#: More different values are not labels or annotators: the column means something else.
TEXTS_LIMIT, ANNOTATORS_LIMIT = 50_000, 10_000
#: Ways to write one file name that are tried on disk.
_WRITTEN_KEPT = 4
#: Row numbers of one answer in a report.
_ROWS_LISTED = 20
#: Between the texts of several rows of one answer.
_AND = "; "
_SCHEMA = """
CREATE TABLE track (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE, written TEXT, fields TEXT, extra TEXT,
    slot TEXT, differing TEXT DEFAULT '');
CREATE TABLE said (
    track_id INTEGER, annotator INTEGER, at TEXT, row INTEGER,
    labels TEXT, extra TEXT, own TEXT,
    PRIMARY KEY (track_id, annotator, at, row)) WITHOUT ROWID;
"""


@dataclass
class StagedAnswer:
    """The answer of one annotator at one moment: ids of texts, in the order of the file.

    `extra` is the metadata of its rows, `own` the part of it that belongs to the answer.
    """

    annotator: int
    answered_at: datetime | None
    texts: list[int]
    extra: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)


@dataclass
class StagedTrack:
    """A track of the catalogue with all its answers.

    `written` are the ways in which the file writes the file name, at most a few; none if the
    key is the only one.
    """

    key: str
    fields: dict[str, str]
    extra: dict[str, str]
    answers: list[StagedAnswer] = field(default_factory=list)
    written: tuple[str, ...] = ()


class JoinedRows(TypedDict):
    """Rows of the file that became one answer."""

    filename: str
    annotator: str
    annotated_at: str
    rows: list[int]


class Staging:
    """The rows of a catalogue, grouped by track; texts and annotators have small numbers.

    `rows_with` counts, by the number of a text, the rows that have it.
    """

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], int] = {}
        self.rows_with: Counter[int] = Counter()
        self.annotators: dict[str, int] = {}
        self.annotator_names: list[str] = []
        self.n_tracks = 0
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(_SCHEMA)
        self._file.execute("PRAGMA cache_size = -8192")
        self._file.execute("BEGIN")

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def add(self, row: Row, default_annotator: str) -> None:
        """Store a row; the first value of a field that is not blank counts for the track."""
        at = row.annotated_at.isoformat() if row.annotated_at else ""
        who = self._annotator(row.annotator or default_annotator) if row.labels else -1
        extra = _packed(row.extra)
        track_id = self._track(row, extra, f"{who} {at}" if row.labels else "")
        if not row.labels:
            return
        texts = [self.texts.setdefault(one, len(self.texts)) for one in row.labels]
        if len(self.texts) > TEXTS_LIMIT:
            raise BadInput(
                f"the file has more than {TEXTS_LIMIT:,} different labels: the columns of "
                "labels hold something else; map them again"
            )
        self.rows_with.update(texts)
        labels, own = ",".join(map(str, texts)), _packed(row.answer_extra)
        self._file.execute(
            "INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?)",
            (track_id, who, at, row.number, labels, extra, own),
        )

    def _annotator(self, name: str) -> int:
        number = self.annotators.setdefault(name_key(name), len(self.annotator_names))
        if number == len(self.annotator_names):
            self.annotator_names.append(name)
            if number >= ANNOTATORS_LIMIT:
                raise BadInput(
                    f"the file has more than {ANNOTATORS_LIMIT:,} annotators: map another "
                    "column"
                )
        return number

    def _track(self, row: Row, extra: str, slot: str) -> int:
        """Store the facts about a track; `slot` is the answer of the row, "" without one."""
        added = self._file.execute(
            "INSERT OR IGNORE INTO track (key, written, fields, extra, slot) "
            "VALUES (?, ?, ?, ?, ?)",
            (row.key, _listed(row.written), _packed(row.fields), extra, slot),
        )
        if added.rowcount and added.lastrowid is not None:
            self.n_tracks += 1
            return added.lastrowid
        track_id, written, fields, former, first, differing = self._file.execute(
            "SELECT id, written, fields, extra, slot, differing FROM track WHERE key = ?",
            (row.key,),
        ).fetchone()
        forms = list(
            dict.fromkeys([*(_unlisted(written) or [row.key]), row.written or row.key])
        )
        there = _unpacked(former)
        names = set(filter(None, differing.split("\n")))
        if slot and first and slot != first:
            names |= {name for name, text in row.extra.items() if there.get(name, text) != text}
        self._file.execute(
            "UPDATE track SET written = ?, fields = ?, extra = ?, slot = ?, differing = ? "
            "WHERE id = ?",
            (
                _listed(*forms[:_WRITTEN_KEPT]) if forms != [row.key] else "",
                _packed(row.fields | _unpacked(fields)),
                _packed(row.extra | there),
                first or slot,
                "\n".join(sorted(names)),
                track_id,
            ),
        )
        return int(track_id)

    def joined(self, most: int) -> tuple[int, list[JoinedRows]]:
        """Return how many rows were joined into the answer of an earlier row, and the first."""
        (n_rows, n_answers) = self._file.execute(
            "SELECT COALESCE(SUM(n), 0), COUNT(*) FROM "
            "(SELECT COUNT(*) AS n FROM said GROUP BY track_id, annotator, at)"
        ).fetchone()
        rows = self._file.execute(
            "SELECT key, annotator, at, GROUP_CONCAT(row) FROM said "
            "JOIN track ON id = track_id GROUP BY track_id, annotator, at "
            "HAVING COUNT(*) > 1 ORDER BY MIN(row) LIMIT ?",
            (most,),
        )
        return n_rows - n_answers, [
            {
                "filename": key,
                "annotator": self.annotator_names[annotator],
                "annotated_at": at,
                "rows": sorted(map(int, numbers.split(",")))[:_ROWS_LISTED],
            }
            for key, annotator, at, numbers in rows
        ]

    def differing(self) -> Counter[str]:
        """Count the tracks on which a metadata column differs from answer to answer."""
        rows = self._file.execute("SELECT differing FROM track WHERE differing != ''")
        return Counter(name for (names,) in rows for name in names.split("\n"))

    def call(self, keys: Mapping[str, str]) -> None:
        """Rename tracks to the keys of the library: ours -> the library's."""
        self._file.executemany(
            "UPDATE OR IGNORE track SET key = ? WHERE key = ?",
            [(theirs, ours) for ours, theirs in keys.items()],
        )

    def groupings(self) -> Iterator[tuple[str, str, str]]:
        """Yield (key, family, album) of each track."""
        for key, fields in self._file.execute("SELECT key, fields FROM track ORDER BY id"):
            stored = _unpacked(fields)
            yield key, stored.get("family", ""), stored.get("album", "")

    def chunks(self, size: int) -> Iterator[list[StagedTrack]]:
        """Yield the tracks in the order of the file, each with its joined answers."""
        last = 0
        while True:
            rows = self._file.execute(
                "SELECT id, key, written, fields, extra, differing FROM track WHERE id > ? "
                "ORDER BY id LIMIT ?",
                (last, size),
            ).fetchall()
            if not rows:
                return
            tracks = {
                id_: StagedTrack(
                    key, _unpacked(fields), _unpacked(extra), written=_unlisted(written)
                )
                for id_, key, written, fields, extra, _ in rows
            }
            self._give_answers(tracks, rows[0][0], rows[-1][0])
            for id_, *_, differing in rows:
                _keep_with_answers(tracks[id_], set(filter(None, differing.split("\n"))))
            last = rows[-1][0]
            yield list(tracks.values())

    def _give_answers(self, tracks: dict[int, StagedTrack], first: int, last: int) -> None:
        rows = self._file.execute(
            "SELECT track_id, annotator, at, labels, extra, own FROM said "
            "WHERE track_id BETWEEN ? AND ? ORDER BY track_id, annotator, at, row",
            (first, last),
        )
        group: tuple[int, int, str] | None = None
        for track_id, annotator, at, labels, extra, own in rows:
            answers = tracks[track_id].answers
            if group != (track_id, annotator, at):
                group = (track_id, annotator, at)
                moment = datetime.fromisoformat(at) if at else None
                answers.append(StagedAnswer(annotator, moment, []))
            _join(answers[-1].extra, _unpacked(extra))
            _join(answers[-1].own, _unpacked(own))
            texts = answers[-1].texts
            texts += [text for text in map(int, labels.split(",")) if text not in texts]


def _listed(*forms: str) -> str:
    """Return the ways to write a file name as JSON text; "" for none."""
    return json.dumps(forms) if any(forms) else ""


def _unlisted(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()


def _join(there: dict[str, str], more: dict[str, str]) -> None:
    """Add the cells of another row of the same answer; different texts are all kept."""
    for name, text in more.items():
        former = there.get(name, text)
        there[name] = former if text in former.split(_AND) else f"{former}{_AND}{text}"


def _keep_with_answers(track: StagedTrack, differing: set[str]) -> None:
    """Keep what differs from answer to answer with the answers, not with the track."""
    track.extra = {name: text for name, text in track.extra.items() if name not in differing}
    for answer in track.answers:
        kept = {name: text for name, text in answer.extra.items() if name in differing}
        answer.own = kept | answer.own


def _packed(cells: dict[str, str]) -> str:
    """Return cells as JSON text; an empty dict costs nothing."""
    return json.dumps(cells) if cells else ""


def _unpacked(text: str) -> dict[str, str]:
    return json.loads(text) if text else {}
