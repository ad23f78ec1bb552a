"""Current criteria: the meaning of `current` and `legacy` in a selection.

Stage: datasets. Current are the judgements of a **current curator** **under the guideline in
force**, **since the last criteria change that was declared for them**. Legacy are all others:
those of all other annotators, and earlier ones of the current curators. Every judgement is one
or the other, and `all` takes both.

A current curator is:

1. A person with a current answer under the guideline in force, who is a member of the library
   with an active login, or who has no login.
2. If no person has answered, as after an import: the annotator of the newest dated answer,
   under any guideline, because imported answers have none.
3. If no answer has a date either: the only annotator, if there is just one.

A detected change is evidence and not a decision: it has no effect until somebody declares it
on the Consistency page. A change declared for a facet or a label affects only that one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from django.db.models import F, Q, QuerySet

from labeling.errors import BadInput
from labeling.loop.datasets.selection import LEARNT_FROM, Selection, check_selection
from labeling.loop.library import libraries
from labeling.models import Annotator, CurrentAnswer, EraCut, Library, Membership

Floats = npt.NDArray[np.float64]
_OWN_WORK = ("judgement", "revision", "adjudication")


class CriteriaChange(TypedDict):
    """A declared criteria change; `of` is a label, a facet or everything."""

    annotator: str
    since: str
    of: str


class CriteriaFacts(TypedDict):
    """The current criteria as stored with a snapshot and hashed."""

    curators: list[str]
    guideline: int | None
    why: str
    changes: list[CriteriaChange]


@dataclass(frozen=True)
class Start:
    """Time from which answers follow the current criteria: all of them, a facet or a label."""

    annotator_id: int
    at: datetime
    facet_id: int | None = None
    label_id: int | None = None
    what: str = ""


@dataclass(frozen=True)
class CurrentCriteria:
    """The current curators, the guideline in force (None: any) and their criteria changes."""

    curators: tuple[Annotator, ...]
    guideline: int | None
    starts: tuple[Start, ...]
    why: str

    def facts(self) -> CriteriaFacts:
        """Return the criteria as values, for people and for the hash of a snapshot."""
        names = {one.pk: one.name for one in self.curators}
        return {
            "curators": [one.name for one in self.curators],
            "guideline": self.guideline,
            "why": self.why,
            "changes": [
                {
                    "annotator": names[start.annotator_id],
                    "since": start.at.isoformat(),
                    "of": start.what,
                }
                for start in self.starts
            ],
        }

    def since(
        self, annotator_id: int, facets: Sequence[int], columns_of_label: dict[int, int]
    ) -> Floats:
        """Return, per column, the second from which this annotator's criteria are current.

        `facets` (n_columns,) are the facets of the columns. -inf means always, and inf that
        the annotator is not a current curator.
        """
        if annotator_id not in {one.pk for one in self.curators}:
            return np.full(len(facets), math.inf)
        found = np.full(len(facets), -math.inf)
        for start in self.starts:
            if start.annotator_id != annotator_id:
                continue
            affected = np.array(
                [start.facet_id in (None, facet) for facet in facets], dtype=bool
            )
            if start.label_id is not None:
                affected = np.arange(len(facets)) == columns_of_label.get(start.label_id, -1)
            found[affected] = np.maximum(found[affected], start.at.timestamp())
        return found


def check_criteria(library: Library, selection: Selection) -> None:
    """Raise BadInput if the selection needs something that the library does not have.

    That includes a current curator, if the selection asks for current criteria.
    """
    check_selection(library, selection)
    if selection.criteria != "all" or selection.judged_by == "current":
        current_criteria(library)


def current_criteria(library: Library) -> CurrentCriteria:
    """Return the current criteria; raise BadInput if there is no current curator.

    The sentences of `why` are part of the hash of snapshots and must not change.
    """
    guideline = libraries.guideline_in_force(library)
    answers = CurrentAnswer.objects.filter(track__library=library, answer__isnull=False)
    persons = answers.filter(annotator__kind=Annotator.Kind.PERSON)
    if not persons.exists():
        curators, why = _newest_source(library, answers)
        return _with_starts(curators, None, why)
    own = persons.filter(
        answer__annotation__kind__in=_OWN_WORK, answer__annotation__guideline=guideline
    )
    curators = [one for one in _annotators(library, own) if _is_active(one)]
    if not curators:
        raise BadInput(
            f"nobody is a current curator of {library.slug}, because no active person has "
            f"answered under guideline {guideline.number}, which is in force: select "
            "annotators, guidelines or a period instead"
        )
    why = f"answered under guideline {guideline.number}, which is in force"
    return _with_starts(curators, guideline.number, why)


def _annotators(library: Library, answers: QuerySet[CurrentAnswer]) -> list[Annotator]:
    ids = set(answers.order_by().values_list("annotator_id", flat=True).distinct())
    rows = library.annotators.filter(pk__in=ids).select_related("user")
    return list(rows.order_by("name_key"))


def _is_active(annotator: Annotator) -> bool:
    user = annotator.user
    if user is None:
        return True
    is_member = Membership.objects.filter(user=user, library=annotator.library_id).exists()
    return user.is_active and (is_member or user.is_superuser)


def _newest_source(
    library: Library, answers: QuerySet[CurrentAnswer]
) -> tuple[list[Annotator], str]:
    usable = answers.filter(annotator__kind__in=LEARNT_FROM)
    newest = (
        usable.filter(answer__annotation__answered_at__isnull=False)
        .order_by(F("answer__annotation__answered_at").desc(), "-answer__annotation_id")
        .first()
    )
    if newest is not None:
        return [newest.annotator], "no person has answered; theirs is the newest dated answer"
    everybody = _annotators(library, usable)
    if len(everybody) == 1:
        return everybody, "nobody else has answered"
    names = ", ".join(one.name for one in everybody) or "nobody"
    raise BadInput(
        f"cannot determine the current curator of {library.slug}, because no person has "
        f"answered and no answer has a date: select annotators instead ({names})"
    )


def _with_starts(curators: list[Annotator], guideline: int | None, why: str) -> CurrentCriteria:
    changes = EraCut.objects.filter(
        Q(annotator__in=[one.pk for one in curators]), kind=EraCut.Kind.DECLARED
    ).select_related("facet", "label")
    starts = tuple(
        Start(
            change.annotator_id,
            change.at,
            change.facet_id,
            change.label_id,
            str(change.label or change.facet or "everything"),
        )
        for change in changes.order_by("at", "id")
    )
    return CurrentCriteria(tuple(curators), guideline, starts, why)
