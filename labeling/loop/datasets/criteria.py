"""Current and legacy criteria: what the two words mean.

Current are the answers of a **current curator** **under the guideline in force**, **from the
day of their last declared criteria change** on. All others are legacy: those of all other
annotators, and earlier ones of the current curators. Every judgement of a label is one or the
other, and `all` is both.

A current curator is:

1. A person with an active login who is a member here (or who has no login at all), with a
   current answer under the guideline in force.
2. If no person has ever answered, as after an import: the annotator of the newest dated
   answer, under any guideline, because imported answers have none.
3. If no answer has a date either: the only annotator, if there is just one.

A detected change is evidence, not a decision: it has no effect until somebody declares it on
the Consistency page. A change declared for a facet or a label affects only that one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.models import F, Q, QuerySet

from labeling.errors import BadInput
from labeling.loop.datasets.selection import LEARNT_FROM, Selection
from labeling.loop.datasets.selection import check_selection as selecting_check
from labeling.loop.library import libraries
from labeling.models import Annotator, CurrentAnswer, EraCut, Library, Membership

Floats = npt.NDArray[np.float64]
_OWN_WORK = ("judgement", "revision", "adjudication")


@dataclass(frozen=True)
class Start:
    """The start of the current criteria: for all answers, a facet or a label."""

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

    def facts(self) -> dict[str, Any]:
        """Return whose criteria are current, for people and for the snapshot's hash."""
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

        `facets` (n_columns,) are the facets of the columns. -inf: always; inf: not a current
        curator.
        """
        if annotator_id not in {one.pk for one in self.curators}:
            return np.full(len(facets), math.inf)
        found = np.full(len(facets), -math.inf)
        for start in self.starts:
            if start.annotator_id != annotator_id:
                continue
            meant = np.array([start.facet_id in (None, facet) for facet in facets], dtype=bool)
            if start.label_id is not None:
                meant = np.arange(len(facets)) == columns_of_label.get(start.label_id, -1)
            found[meant] = np.maximum(found[meant], start.at.timestamp())
        return found


def check_criteria(library: Library, selection: Selection) -> None:
    """Refuse unknown names in a selection, and an unknown current curator."""
    selecting_check(library, selection)
    if selection.criteria != "all" or selection.judged_by == "current":
        current_criteria(library)


def current_criteria(library: Library) -> CurrentCriteria:
    """Return whose criteria are current, or refuse if nobody's are."""
    guideline = libraries.guideline_in_force(library)
    held = CurrentAnswer.objects.filter(track__library=library, answer__isnull=False)
    persons = held.filter(annotator__kind=Annotator.Kind.PERSON)
    if not persons.exists():
        curators, why = _newest_source(library, held)
        return _with_starts(curators, None, why)
    own = persons.filter(
        answer__annotation__kind__in=_OWN_WORK, answer__annotation__guideline=guideline
    )
    curators = [one for one in _annotators(library, own) if _is_active(one)]
    if not curators:
        raise BadInput(
            f"nobody is a current curator of {library.slug}: no active person has answered "
            f"under guideline {guideline.number}, which is in force; name annotators, "
            "guidelines or a period instead"
        )
    why = f"answered under guideline {guideline.number}, which is in force"
    return _with_starts(curators, guideline.number, why)


def _annotators(library: Library, held: QuerySet[CurrentAnswer]) -> list[Annotator]:
    ids = set(held.order_by().values_list("annotator_id", flat=True).distinct())
    rows = library.annotators.filter(pk__in=ids).select_related("user")
    return list(rows.order_by("name_key"))


def _is_active(annotator: Annotator) -> bool:
    user = annotator.user
    if user is None:
        return True
    is_member = Membership.objects.filter(user=user, library=annotator.library_id).exists()
    return user.is_active and (is_member or user.is_superuser)


def _newest_source(
    library: Library, held: QuerySet[CurrentAnswer]
) -> tuple[list[Annotator], str]:
    learnt = held.filter(annotator__kind__in=LEARNT_FROM)
    newest = (
        learnt.filter(answer__annotation__answered_at__isnull=False)
        .order_by(F("answer__annotation__answered_at").desc(), "-answer__annotation_id")
        .first()
    )
    if newest is not None:
        return [newest.annotator], "no person has answered; theirs is the newest dated answer"
    everybody = _annotators(library, learnt)
    if len(everybody) == 1:
        return everybody, "nobody else has answered"
    names = ", ".join(one.name for one in everybody) or "nobody"
    raise BadInput(
        f"cannot determine the current curator of {library.slug}: no person has "
        f"answered, and no answer has a date; name annotators instead ({names})"
    )


def _with_starts(curators: list[Annotator], guideline: int | None, why: str) -> CurrentCriteria:
    cuts = EraCut.objects.filter(
        Q(annotator__in=[one.pk for one in curators]), kind=EraCut.Kind.DECLARED
    ).select_related("facet", "label")
    starts = tuple(
        Start(
            cut.annotator_id,
            cut.at,
            cut.facet_id,
            cut.label_id,
            str(cut.label or cut.facet or "everything"),
        )
        for cut in cuts.order_by("at", "id")
    )
    return CurrentCriteria(tuple(curators), guideline, starts, why)
