"""Answers as names and as rows: parsing of submitted names, and current states as names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from labeling.errors import BadInput
from labeling.loop.library import taxonomy
from labeling.models import (
    Answer,
    CurrentAnswer,
    Facet,
    Judgement,
    Label,
    LabelAlias,
    LabelSetMember,
    Library,
)
from labeling.moments import EARLIEST
from labeling.names import name_key

#: Names of labels by facet, or one flat list if names are unique.
Names = Mapping[str, Iterable[str]] | Iterable[str]
_WORDS = {Judgement.YES: "labels", Judgement.UNSURE: "unsure", Judgement.NO: "negative"}


#: Columns of a current answer that its state is read from.
_STATE = ("facet_id", "answer_id", "answer__is_complete", "answer__label_set__hash")


@dataclass(frozen=True)
class FacetAnswer:
    """The answer to one facet: label id -> +1, 0 or -1; if complete, the rest is a no."""

    facet_id: int
    values: Mapping[int, int]
    is_complete: bool = True


@dataclass(frozen=True)
class FacetState:
    """The current answer to a facet, with merged labels resolved."""

    facet_id: int
    answer_id: int
    values: Mapping[int, int]
    is_complete: bool
    on_offer: frozenset[int]

    def value_of(self, label_id: int) -> int | None:
        """Return +1, 0, -1, or None if the label was not judged."""
        if label_id in self.values:
            return self.values[label_id]
        return -1 if self.is_complete and label_id in self.on_offer else None


def check_moment(said: datetime | None) -> None:
    """Refuse an answer dated before there were any."""
    if said is not None and said < EARLIEST:
        raise BadInput(
            f"answered_at {said.date()} is before {EARLIEST.year}: no answer was given then; "
            "leave it out for now"
        )


@dataclass
class Vocabulary:
    """The facets of a library and every name under which a label is found."""

    library: Library
    facets: dict[str, Facet] = field(default_factory=dict)
    by_facet: dict[int, dict[str, int]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    facet_names: dict[int, str] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)
    merged: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, library: Library) -> Vocabulary:
        """Read the vocabulary of a library: labels, merged ones resolved, and aliases."""
        self = cls(library)
        for facet in library.facets.all():
            self.facets[facet.name_key] = facet
            self.facet_names[facet.pk] = facet.name
            self.by_facet[facet.pk] = {}
        labels = list(
            Label.objects.filter(facet__in=list(self.facet_names))
            .order_by()
            .values_list("id", "facet_id", "name", "name_key", "is_active", "merged_into_id")
        )
        self.merged = taxonomy.follow_merges(
            {label_id: into for label_id, *_, into in labels if into is not None}
        )
        self._add_aliases()
        for label_id, facet_id, name, key, is_active, into in labels:
            self.names[label_id] = name
            self.by_facet[facet_id][key] = self.merged.get(label_id, label_id)
            if is_active and into is None:
                self.active.add(label_id)
        return self

    def _add_aliases(self) -> None:
        rows = LabelAlias.objects.filter(facet__in=list(self.facet_names), vocabulary="")
        for facet_id, key, label_id in rows.values_list("facet_id", "text_key", "label_id"):
            self.by_facet[facet_id][key] = self.merged.get(label_id, label_id)

    def find(self, facet: Facet, name: str) -> int:
        """Return the label of this name or spelling, or say which names there are."""
        label_id = self.by_facet[facet.pk].get(name_key(name))
        if label_id is None:
            raise BadInput(f"{facet.name} has no label {name!r}; see labels/ for the names")
        return label_id

    def find_anywhere(self, name: str) -> tuple[Facet, int]:
        """Return the one label of this name in any facet."""
        found = [
            (facet, self.by_facet[facet.pk][name_key(name)])
            for facet in self.facets.values()
            if name_key(name) in self.by_facet[facet.pk]
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise BadInput(f"there is no label {name!r}; see labels/ for the names")
        facets = ", ".join(facet.name for facet, _ in found)
        raise BadInput(f"{name!r} is a label of {facets}: send labels as {{facet: [names]}}")

    def facet(self, name: str) -> Facet:
        """Return the facet of this name."""
        found = self.facets.get(name_key(name))
        if found is None:
            known = ", ".join(facet.name for facet in self.facets.values())
            raise BadInput(f"there is no facet {name!r} (there are: {known})")
        return found


def parse_answers(
    vocabulary: Vocabulary,
    *,
    labels: Names,
    unsure: Names = (),
    negative: Names = (),
    completed_facets: Iterable[str] | None = None,
) -> list[FacetAnswer]:
    """Turn names into answers.

    1. Find every label; a label may be in one of the three lists only.
    2. A facet is complete if it is named as complete; by default, if it has a yes or an unsure.
    3. A complete facet respects its minimum and maximum number of labels.
    """
    values: dict[int, dict[int, int]] = {}
    for names, value in ((labels, 1), (unsure, 0), (negative, -1)):
        for facet, label_id in _found(vocabulary, names):
            if label_id not in vocabulary.active:
                name = vocabulary.names[label_id]
                raise BadInput(f"{name!r} is no longer on offer; see labels/ for the names")
            stored = values.setdefault(facet.pk, {}).setdefault(label_id, value)
            if stored != value:
                name = vocabulary.names[label_id]
                raise BadInput(f"{name!r} is both {_WORDS[stored]} and {_WORDS[value]}")
    complete = _completed(vocabulary, values, completed_facets)
    answers = [
        FacetAnswer(facet.pk, values.get(facet.pk, {}), facet.pk in complete)
        for facet in vocabulary.facets.values()
        if facet.pk in values or facet.pk in complete
    ]
    _keep_to_limits(vocabulary, answers)
    return answers


def _found(vocabulary: Vocabulary, names: Names) -> Iterable[tuple[Facet, int]]:
    if isinstance(names, Mapping):
        for facet_name, members in names.items():
            facet = vocabulary.facet(facet_name)
            for name in members:
                yield facet, vocabulary.find(facet, name)
        return
    for name in names:
        yield vocabulary.find_anywhere(name)


def _completed(
    vocabulary: Vocabulary,
    values: Mapping[int, Mapping[int, int]],
    completed_facets: Iterable[str] | None,
) -> set[int]:
    if completed_facets is not None:
        return {vocabulary.facet(name).pk for name in completed_facets}
    return {facet_id for facet_id, said in values.items() if any(v >= 0 for v in said.values())}


def _keep_to_limits(vocabulary: Vocabulary, answers: Iterable[FacetAnswer]) -> None:
    facets = {facet.pk: facet for facet in vocabulary.facets.values()}
    for answer in answers:
        facet = facets[answer.facet_id]
        n = sum(value == Judgement.YES for value in answer.values.values())
        if facet.max_labels and n > facet.max_labels:
            raise BadInput(f"{facet.name}: at most {facet.max_labels} labels, you gave {n}")
        if answer.is_complete and 0 < n < facet.min_labels:
            raise BadInput(f"{facet.name}: at least {facet.min_labels} labels, you gave {n}")


def current_states(
    library: Library,
    *,
    annotator_id: int,
    track_ids: Iterable[int],
    merged: dict[int, int] | None = None,
) -> dict[int, dict[int, FacetState]]:
    """Return track id -> facet id -> the current answer of this annotator.

    `merged` saves a query if the caller has a `Vocabulary`.
    """
    rows = CurrentAnswer.objects.filter(
        annotator_id=annotator_id, track_id__in=list(track_ids), answer__isnull=False
    )
    resolve = taxonomy.resolutions(library) if merged is None else merged
    return _states(rows.values_list("track_id", *_STATE), resolve)


def everybodys_states(library: Library, track_id: int) -> dict[int, dict[int, FacetState]]:
    """Return annotator id -> facet id -> the current answer, for one track."""
    rows = CurrentAnswer.objects.filter(track_id=track_id, answer__isnull=False)
    return _states(rows.values_list("annotator_id", *_STATE), taxonomy.resolutions(library))


def states_of(answer_ids: Iterable[int], merged: dict[int, int]) -> dict[int, FacetState]:
    """Return facet id -> state, for answers to one track."""
    rows = Answer.objects.filter(pk__in=list(answer_ids)).values_list(
        "annotation__track_id", "facet_id", "pk", "is_complete", "label_set__hash"
    )
    return next(iter(_states(rows, merged).values()), {})


def _states(
    found: Iterable[tuple[Any, ...]], resolve: dict[int, int]
) -> dict[int, dict[int, FacetState]]:
    """Read states from rows of (key, facet id, answer id, is complete, label set's hash)."""
    rows = list(found)
    said = _judgements([row[2] for row in rows], resolve)
    offers = _on_offer({row[4] for row in rows}, resolve)
    states: dict[int, dict[int, FacetState]] = {}
    for key, facet_id, answer_id, is_complete, label_set in rows:
        states.setdefault(key, {})[facet_id] = FacetState(
            facet_id, answer_id, said.get(answer_id, {}), is_complete, offers[label_set]
        )
    return states


def _judgements(answer_ids: list[int], resolve: dict[int, int]) -> dict[int, dict[int, int]]:
    """Read judgements; if two merged labels differ, the stronger yes counts."""
    said: dict[int, dict[int, int]] = {}
    rows = Judgement.objects.filter(answer_id__in=answer_ids)
    for answer_id, label_id, value in rows.values_list("answer_id", "label_id", "value"):
        label_id = resolve.get(label_id, label_id)
        values = said.setdefault(answer_id, {})
        values[label_id] = max(value, values.get(label_id, value))
    return said


def _on_offer(hashes: set[str], resolve: dict[int, int]) -> dict[str, frozenset[int]]:
    members = {digest: _members_of(digest) for digest in hashes}
    return {
        digest: frozenset(resolve.get(label_id, label_id) for label_id in label_ids)
        for digest, label_ids in members.items()
    }


@lru_cache(maxsize=256)
def _members_of(digest: str) -> tuple[int, ...]:
    """Return the labels of a label set; it never changes, and its hash is of their uids."""
    rows = LabelSetMember.objects.filter(label_set__hash=digest)
    return tuple(rows.values_list("label_id", flat=True).distinct())


def as_names(vocabulary: Vocabulary, states: Mapping[int, FacetState]) -> dict[str, Any]:
    """Return the state as the API gives it: names by facet, and the complete facets."""
    said: dict[str, Any] = {"labels": {}, "unsure": {}, "negative": {}, "completed_facets": []}
    for facet_id, state in sorted(states.items()):
        facet_name = vocabulary.facet_names[facet_id]
        for label_id, value in state.values.items():
            names = said[_WORDS[value]].setdefault(facet_name, [])
            names.append(vocabulary.names[label_id])
        if state.is_complete:
            said["completed_facets"].append(facet_name)
    for word in _WORDS.values():
        said[word] = {facet: sorted(names) for facet, names in said[word].items()}
    return said
