"""Explanations: why a track was chosen, in words for the annotator.

Stage: acquisition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from labeling.loop.library.taxonomy import resolutions
from labeling.loop.registry.trust import trust_in
from labeling.models import Label, Library, ModelVersion
from ml.acquisition.strategies import Pool
from ml.constants import OTHERS

AT_RANDOM = "drawn at random: there is no model to choose by yet"
SPREAD = "chosen to spread over the catalogue"
#: From this novelty on, a track is called unlike all labelled tracks.
_NOVEL = 0.8
_NAMED = 2
_UNSURE = (0.2, 0.8)
_LONGEST = 110
_LONGEST_NAME = 28


class FacetLabel(str):
    """The name of a label as reasons show it, together with its facet."""

    facet: str = ""

    @classmethod
    def of(cls, name: str, facet: str) -> FacetLabel:
        """Return the name of a label of this facet."""
        made = cls(name)
        made.facet = facet
        return made


def facet_labels(library: Library, label_uids: Sequence[str]) -> list[str]:
    """Return the current name of each label of a model; a folded or lost label is Others.

    A merged label has the name of the label that it was merged into. A name that occurs in two
    facets is followed by its facet.
    """
    rows = Label.objects.filter(facet__library=library)
    labels = {
        pk: (uid.hex, name, facet, merged_into)
        for pk, uid, name, facet, merged_into in rows.values_list(
            "pk", "uid", "name", "facet__name", "merged_into"
        )
    }
    merged = resolutions(library)
    uses = Counter(name for _, name, _, merged_into in labels.values() if not merged_into)
    names: dict[str, str] = {}
    for pk, (uid, _, _, _) in labels.items():
        _, name, facet, _ = labels[merged.get(pk, pk)]
        names[uid] = FacetLabel.of(f"{name} ({facet})" if uses[name] > 1 else name, facet)
    return [names.get(uid, OTHERS) for uid in label_uids]


def trusted_names(
    library: Library, version: ModelVersion, label_uids: Sequence[str]
) -> list[str]:
    """Return the names of a model's labels for reasons; Others hides one that it guesses.

    A reason that names a label influences the annotator as a suggestion does, so the same rule
    holds (`labeling.loop.registry.trust`).
    """
    trusted = trust_in(version).labels
    names = facet_labels(library, label_uids)
    return [
        name if uid in trusted else OTHERS for uid, name in zip(label_uids, names, strict=True)
    ]


def explain(reason: dict[str, Any], names: Sequence[str], pool: Pool, index: int) -> str:
    """Return the reason of a choice in one short line, the strongest part first.

    1. For a track unlike all labelled ones, no neighbour is named.
    2. A label that was named in one part is not named in another.
    """
    is_novel = reason.get("novelty", 0.0) >= _NOVEL
    named: set[str] = set()
    first = "" if is_novel else _mismatch(reason, names, pool, index, named)
    parts = [first, "nothing like it labelled yet" if is_novel else ""]
    parts.append(_uncertain(reason, names, named))
    line = ""
    for part in filter(None, parts):
        longer = f"{line} · {part}" if line else part
        line = longer if len(longer) <= _LONGEST else line
    return line or SPREAD


def _uncertain(reason: dict[str, Any], names: Sequence[str], named: set[str]) -> str:
    """Return the part that names the most uncertain label and a second one of its facet."""
    low, high = _UNSURE
    facet: str | None = None
    unsure: list[str] = []
    for one in reason.get("uncertain", []):
        name = names[one["label"]]
        if name in named or name == OTHERS or not low <= one["probability"] <= high:
            continue
        if facet not in (None, _facet(name)) or len(unsure) == _NAMED:
            continue
        facet = _facet(name)
        named.add(name)  # two labels of the model may have been merged since
        unsure.append(f"{_short(name)} {_percent(one['probability'])}")
    if not unsure:
        return ""
    return f"uncertain {'between ' if len(unsure) > 1 else 'about '}" + " and ".join(unsure)


def _mismatch(
    reason: dict[str, Any], names: Sequence[str], pool: Pool, index: int, named: set[str]
) -> str:
    """Return the part about a difference to the nearest labelled track, within one facet."""
    columns = [column for column in reason.get("mismatch", []) if names[column] != OTHERS]
    if not columns or pool.labels is None:
        return ""
    given = pool.labels.labels[reason["neighbour"]]
    has = list(dict.fromkeys(names[column] for column in columns if given[column]))
    heard = [
        column
        for column in columns
        if not given[column]
        and names[column] not in has
        and _is_heard(column, names, pool, index)
    ]
    facets = [_facet(names[column]) for column in heard]
    both = [facet for facet in facets if facet in {_facet(name) for name in has}]
    if heard:
        facet = (both or facets)[0]
        column = heard[facets.index(facet)]
        hears = f"the model hears {_short(names[column])}{_share(column, pool, index)}"
        named.add(names[column])
        if not both:
            return f"{hears}, unlike the most similar labelled track"
        nearest = _of_facet(has, facet)
        named.update(nearest)
        return f"{hears}, the most similar labelled track is {_and(nearest)}"
    if not has:
        return ""
    nearest = _of_facet(has, _facet(has[0]))
    named.update(nearest)
    return f"the most similar labelled track is {_and(nearest)}, the model does not hear it"


def _is_heard(column: int, names: Sequence[str], pool: Pool, index: int) -> bool:
    """Return whether the model predicts this label as the likeliest one of its facet."""
    if pool.probabilities is None:
        return True
    row = pool.probabilities[index]
    if row[column] < pool.decision_thresholds()[column]:
        return False
    facet = _facet(names[column])
    return all(row[n] <= row[column] for n, name in enumerate(names) if _facet(name) == facet)


def _of_facet(names: Iterable[str], facet: str) -> list[str]:
    return [name for name in names if _facet(name) == facet][:1]


def _facet(name: str) -> str:
    return name.facet if isinstance(name, FacetLabel) else ""


def _and(names: Sequence[str]) -> str:
    return " and ".join(_short(name) for name in names)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _share(column: int, pool: Pool, index: int) -> str:
    if pool.probabilities is None:
        return ""
    return f" {_percent(float(pool.probabilities[index][column]))}"


def _percent(probability: float) -> str:
    return f"{round(100 * probability)} %"
