"""Columns of a catalogue and their meaning."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.errors import BadInput
from labeling.loop.importing.csv.dates import DATE_FORMS
from labeling.names import name_key

#: Columns of a track with a field of their own, and their maximum length.
FIELDS = {
    "title": 300,
    "album": 300,
    "artist": 300,
    "composer": 300,
    "isrc": 20,
    "family": 200,
}
#: Columns of an answer: its annotator and its time.
ANSWER_FIELDS = ("annotator", "annotated_at")
COLUMN_LIMIT = 1_000
#: What people write between the name of a facet and a number.
_AROUND_NUMBERS = " _-.:#()[]{}/"
_MEANT = {*FIELDS, *ANSWER_FIELDS}
_WITH_ANSWER = "kept with the answer"


def facet_named(name: str, known: Collection[str]) -> str:
    """Return the facet whose labels a column of this name key holds; "" if there is none.

    The columns of a facet have its name, in the singular or plural, with or without a number
    (`genre1`, `genre 2`, `genre_3`, `genres`, `genre [4]`); if two facets fit, the longer name
    counts. Columns of the track or the answer are never facets.
    """
    if name in _MEANT:
        return ""
    loose = {_loose(facet): facet for facet in sorted(known)}
    while name:
        if name in known:
            return name
        for form in _singulars(_loose(name)):
            if form in loose:
                return loose[form]
        last = name[-1]
        is_number = last.isdecimal() and name[:-1].strip(_AROUND_NUMBERS)
        if not (is_number or last in _AROUND_NUMBERS):
            return ""
        name = name[:-1]
    return ""


def _loose(name: str) -> str:
    """Return a name key with blanks for underscores and hyphens."""
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def _singulars(name: str) -> list[str]:
    """Return the name, and what it may be the plural of."""
    found = [name]
    if name.endswith("ies"):
        found.append(name[:-3] + "y")
    if name.endswith("s"):
        found.append(name[:-1])
    return found


def facet_column(facet: str, number: int, known: Collection[str]) -> str:
    """Return an unambiguous column name for a facet."""
    digits = str(number)
    while facet_named(facet + digits, known) != facet:
        digits = f"0{digits}"
    return facet + digits


@dataclass(frozen=True)
class ReadingOptions:
    """Options for reading columns whose names do not say their meaning.

    Attributes
    ----------
    key : the column with the file name, which identifies the tracks.
    family : the column of tracks that must stay together in every split; "" for `family`.
    facets : column -> facet, in addition to the columns named after one.
    separators : facet column -> separator of several values in one cell.
    fields : column -> `title`, `album`, ... , `annotator` or `annotated_at`.
    metadata : columns to keep as metadata although their names say more.
    answer_metadata : columns to keep with the answer, not with the track.
    ignored : columns to leave out altogether.
    encoding : of the file; "" to detect it.
    dates : the form of the dates, a key of `DATE_FORMS`.
    sheet : the sheet of a workbook; "" for the first one with content.
    """

    key: str = "filename"
    family: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)
    separators: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()
    answer_metadata: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    encoding: str = ""
    dates: str = "iso"
    sheet: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> ReadingOptions:
        """Read options from JSON, as stored in a saved mapping or a batch."""
        return cls(
            key=stored.get("key") or "filename",
            family=stored.get("family") or "",
            facets=dict(stored.get("facets") or {}),
            separators=dict(stored.get("separators") or {}),
            fields=dict(stored.get("fields") or {}),
            metadata=tuple(stored.get("metadata") or ()),
            answer_metadata=tuple(stored.get("answer_metadata") or ()),
            ignored=tuple(stored.get("ignored") or ()),
            encoding=stored.get("encoding") or "",
            dates=stored.get("dates") or "iso",
            sheet=stored.get("sheet") or "",
        )


@dataclass(frozen=True)
class Columns:
    """Indexes of the columns by meaning; facet names are name keys.

    `extra` names the metadata of the tracks, `of_answer` that of the answers.
    """

    names: list[str]
    key: int
    fields: Mapping[str, int]
    facets: Mapping[int, str]
    separators: Mapping[int, str]
    annotator: int | None
    annotated_at: int | None
    extra: Mapping[int, str]
    of_answer: Mapping[int, str] = field(default_factory=dict)
    dates: str = "iso"


def column_pairs(texts: list[str], option: str) -> dict[str, str]:
    """Read `COLUMN=VALUE` options."""
    found = {}
    for text in texts:
        column, separator, value = text.partition("=")
        if not separator or not column.strip() or not value:
            raise BadInput(f"{option} {text!r}: write COLUMN=VALUE")
        found[column.strip()] = value
    return found


def plan_columns(names: list[str], options: ReadingOptions, known_facets: set[str]) -> Columns:
    """Return the meaning of each column, or refuse with the problem and its solution.

    Parameters
    ----------
    names : of the header. known_facets : name keys of the library's facets.
    """
    if len(names) > COLUMN_LIMIT:
        raise BadInput(f"{len(names):,} columns are too many (at most {COLUMN_LIMIT:,})")
    if options.dates not in DATE_FORMS:
        raise BadInput(f"dates are read as {', '.join(DATE_FORMS)}, not as {options.dates!r}")
    places = _places(name_key(name) for name in names)
    by_name = _places(_meanings(names, places, options))
    key = _place(places, options.key, names, "--key names the column with the file name")
    facets = _facets(places, by_name, options, names, known_facets)
    facets.pop(key, None)
    fields = {name: by_name[name][0] for name in FIELDS if name in by_name}
    if options.family:
        fields["family"] = _place(places, options.family, names, "--family")
    ignored = _ignored(places, options, names)
    meant = {key, *facets, *fields.values(), *ignored}
    annotator, annotated_at = (_free(by_name, name, meant) for name in ANSWER_FIELDS)
    meant |= {place for place in (annotator, annotated_at) if place is not None}
    extra = _extra(names, meant)
    own = {_place(places, name, names, _WITH_ANSWER) for name in options.answer_metadata}
    return Columns(
        names=names,
        key=key,
        fields={name: place for name, place in fields.items() if place not in facets},
        facets={place: facet for place, facet in facets.items() if place not in ignored},
        separators=_separators(places, options, names, facets),
        annotator=annotator,
        annotated_at=annotated_at,
        extra={place: name for place, name in extra.items() if place not in own},
        of_answer={place: name for place, name in extra.items() if place in own},
        dates=options.dates,
    )


def _ignored(
    places: dict[str, list[int]], options: ReadingOptions, names: list[str]
) -> set[int]:
    """Return the columns to leave out; several may have one name."""
    ignored: set[int] = set()
    for name in options.ignored:
        found = places.get(name_key(name))
        ignored |= set(found or [_place(places, name, names, "left out")])
    return ignored


def _places(keys: Iterable[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        if key:
            places.setdefault(key, []).append(place)
    return places


def _meanings(
    names: list[str], places: dict[str, list[int]], options: ReadingOptions
) -> list[str]:
    """Return the meaning of each column, by its name or by the options."""
    said = set(options.fields.values())
    meanings = [name_key(name) for name in names]
    meanings = ["" if meaning in said else meaning for meaning in meanings]
    for column in options.metadata:
        meanings[_place(places, column, names, "kept as metadata")] = ""
    for column in options.answer_metadata:
        meanings[_place(places, column, names, _WITH_ANSWER)] = ""
    for column, meaning in options.fields.items():
        if meaning not in (*FIELDS, *ANSWER_FIELDS):
            raise BadInput(f"a column cannot be read as {meaning!r}")
        meanings[_place(places, column, names, f"read as {meaning}")] = meaning
    return meanings


def _place(places: dict[str, list[int]], name: str, names: list[str], what: str) -> int:
    found = places.get(name_key(name), [])
    if len(found) == 1:
        return found[0]
    shown = ", ".join(repr(one) for one in names[:40] if one) or "none"
    problem = "is there twice" if found else "is not there"
    raise BadInput(f"the column {name!r} {problem} ({what}); columns found: {shown}")


def _facets(
    places: dict[str, list[int]],
    by_name: dict[str, list[int]],
    options: ReadingOptions,
    names: list[str],
    known: set[str],
) -> dict[int, str]:
    facets = {}
    for name, found in by_name.items():
        facet = facet_named(name, known)
        if facet:
            facets.update(dict.fromkeys(found, facet))
    for column, facet in options.facets.items():
        place = _place(places, column, names, "mapped to a facet")
        if name_key(facet) not in known:
            raise BadInput(
                f"there is no facet {facet!r} (there are: {', '.join(sorted(known))})"
            )
        facets[place] = name_key(facet)
    return facets


def _separators(
    places: dict[str, list[int]],
    options: ReadingOptions,
    names: list[str],
    facets: dict[int, str],
) -> dict[int, str]:
    separators = {}
    for column, separator in options.separators.items():
        place = _place(places, column, names, "to be split")
        if place not in facets:
            raise BadInput(f"{column!r} holds no labels, so it is not split: map it to a facet")
        separators[place] = separator
    return separators


def _free(places: dict[str, list[int]], name: str, meant: set[int]) -> int | None:
    found = [place for place in places.get(name, []) if place not in meant]
    return found[0] if found else None


def _extra(names: list[str], meant: set[int]) -> dict[int, str]:
    """Name the other columns; a duplicate name gets a number."""
    extra: dict[int, str] = {}
    for place, name in enumerate(names):
        if place in meant:
            continue
        free = name or f"column {place + 1}"
        extra[place] = f"{free} ({place + 1})" if free in extra.values() else free
    return extra
