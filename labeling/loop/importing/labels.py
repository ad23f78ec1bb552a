"""Labels of a catalogue: found under any spelling, created if they are new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from labeling.loop.library import taxonomy
from labeling.models import (
    Annotator,
    Facet,
    ImportBatch,
    Label,
    LabelAlias,
    LabelSet,
    Library,
)
from labeling.names import name_key

#: New labels in a report; more of them mean a column that does not hold labels.
NEW_KEPT = 1_000


@dataclass
class Added:
    """The ids of the labels, spellings and annotators that an import created."""

    labels: list[int] = field(default_factory=list)
    aliases: list[int] = field(default_factory=list)
    annotators: list[int] = field(default_factory=list)

    @classmethod
    def by(cls, batch: ImportBatch) -> Added:
        """Return what an import has created so far."""
        return cls(**(batch.added or {}))

    def store(self, batch_id: int) -> None:
        """Add these ids to those of the import, in the transaction that created the rows."""
        batch = ImportBatch.objects.select_for_update().get(pk=batch_id)
        there = asdict(Added.by(batch))
        batch.added = {name: sorted({*ids, *there[name]}) for name, ids in asdict(self).items()}
        batch.save(update_fields=["added"])


@dataclass
class LabelPlan:
    """The labels that the names of a catalogue mean, before anything is written.

    Attributes
    ----------
    texts : (facet key, name) -> name key, in the order of the file.
    known : facet key -> name key -> label id.
    new : facet key -> name key -> the first spelling.
    merged : spellings that are read as a label of another spelling.
    """

    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    known: dict[str, dict[str, int]] = field(default_factory=dict)
    new: dict[str, dict[str, str]] = field(default_factory=dict)
    merged: list[dict[str, str]] = field(default_factory=list)

    @property
    def n_new(self) -> int:
        return sum(len(names) for names in self.new.values())

    def rarest_new(
        self, numbers: Mapping[tuple[str, str], int], rows_with: Counter[int]
    ) -> list[dict[str, Any]]:
        """Return the new labels with their number of rows, the rarest of a facet first.

        A typing error is a rare name: a person should see it before it becomes a label.
        """
        rows: Counter[tuple[str, str]] = Counter()
        for text, key in self.texts.items():
            rows[text[0], key] += rows_with[numbers[text]]
        return [
            {"facet": facet, "label": self.new[facet][key], "rows": rows[facet, key]}
            for facet in sorted(self.new)
            for key in sorted(self.new[facet], key=lambda key: (rows[facet, key], key))
        ][:NEW_KEPT]


def plan_labels(texts: Iterable[tuple[str, str]], facets: dict[str, Facet]) -> LabelPlan:
    """Find existing and new labels.

    Parameters
    ----------
    texts : (facet key, name) in the order of the file. facets : by key; in a library that
        does not exist yet they have no id, and no label is known.
    """
    made = LabelPlan()
    names: dict[int, str] = {}
    for key, facet in facets.items():
        made.known[key] = taxonomy.index(facet) if facet.pk else {}
        if facet.pk:
            names |= dict(Label.objects.filter(facet=facet).values_list("id", "name"))
    for facet_key, text in texts:
        key = made.texts[(facet_key, text)] = name_key(text)
        label_id = made.known[facet_key].get(key)
        stands = names[label_id] if label_id else _first(made, facet_key, key, text)
        if stands != text:
            made.merged.append({"facet": facet_key, "label": stands, "spelling": text})
    return made


def _first(made: LabelPlan, facet_key: str, key: str, text: str) -> str:
    return made.new.setdefault(facet_key, {}).setdefault(key, text)


def make_labels(planned: LabelPlan, facets: dict[str, Facet]) -> Added:
    """Create the new labels inside the caller's transaction, and store the other spellings.

    Another import may have created one of them since, so it is looked up again under the lock.
    """
    added = Added()
    for facet_key in sorted(planned.new):
        facet, names = facets[facet_key], planned.new[facet_key]
        taxonomy.lock(facet)
        there = taxonomy.index(facet)
        planned.known[facet_key] |= {key: there[key] for key in names.keys() & there.keys()}
        planned.new[facet_key] = {key: names[key] for key in names if key not in there}
        for label in taxonomy.create_labels(facet, planned.new[facet_key].values()):
            planned.known[facet_key][label.name_key] = label.pk
            added.labels.append(label.pk)
    labels = Label.objects.in_bulk(
        {planned.known[one["facet"]][name_key(one["spelling"])] for one in planned.merged}
    )
    aliases = LabelAlias.objects.filter(facet__in=[facet.pk for facet in facets.values()])
    before = set(aliases.values_list("id", flat=True))
    for one in planned.merged:
        label_id = planned.known[one["facet"]][name_key(one["spelling"])]
        alias = taxonomy.add_alias(labels[label_id], one["spelling"])
        if alias.pk not in before:
            added.aliases.append(alias.pk)
    return added


class LabelSets:
    """The label sets of an import: one per facet, created when the first answer needs it."""

    def __init__(self, facets: dict[str, Facet], used: dict[int, set[int]]) -> None:
        self.facets = {facet.pk: facet for facet in facets.values()}
        self.used = used
        self.made: dict[int, LabelSet] = {}

    def of(self, facet_id: int) -> int:
        """Return the id of the set of all values of the file and the active labels."""
        if facet_id not in self.made:
            self.made[facet_id] = taxonomy.label_set_of(
                self.facets[facet_id], also=self.used.get(facet_id, ())
            )
        return self.made[facet_id].pk


def annotators_named(library: Library, names: Iterable[str], added: Added) -> list[int]:
    """Return the annotator of each name; an unknown name becomes a legacy annotator."""
    ids = []
    for name in names:
        annotator, is_new = Annotator.objects.get_or_create(
            library=library,
            name_key=name_key(name),
            defaults={"name": name, "kind": Annotator.Kind.LEGACY},
        )
        ids.append(annotator.pk)
        if is_new:
            added.annotators.append(annotator.pk)
    return ids
