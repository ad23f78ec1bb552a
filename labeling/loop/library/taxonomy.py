"""Labels: found by any spelling, renamed, merged and undone without losing a judgement.

Judgements are never rewritten. A merged label points to its target, which reads resolve; a
renamed label keeps its old name as an alias. So a catalogue imported before still means the
same afterwards, and each change can be undone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from labeling.errors import BadInput
from labeling.models import (
    Facet,
    Label,
    LabelAlias,
    LabelSet,
    LabelSetMember,
    Library,
    TaxonomyChange,
)
from labeling.names import name_key, tidy_name

Kind = TaxonomyChange.Kind
#: The vocabulary of our own spellings; those of partners have a name.
OWN = ""
NAME_LIMIT = 120


def clean_name(text: str) -> str:
    """Return the stored form of a name, or refuse an invalid one."""
    name = tidy_name(text)
    if not name_key(name):
        raise BadInput("a label needs a name")
    if "\0" in text or max(len(name), len(name_key(name))) > NAME_LIMIT:
        raise BadInput(f"{name[:40]!r} is not a label name: use 1 to {NAME_LIMIT} characters")
    return name


# --- finding ------------------------------------------------------------------------------
def resolutions(library: Library) -> dict[int, int]:
    """Return, for each merged label of the library, the label that it counts as."""
    rows = Label.objects.filter(facet__library=library, merged_into__isnull=False)
    return follow_merges(dict(rows.values_list("id", "merged_into_id")))


def follow_merges(merged: dict[int, int]) -> dict[int, int]:
    """Return the end of the chain for each start of `merged` (label id -> merged into)."""
    ends = {}
    for start in merged:
        end, seen = merged[start], {start}
        while end in merged and end not in seen:
            seen.add(end)
            end = merged[end]
        ends[start] = end
    return ends


def resolve(label: Label) -> Label:
    """Return the label that this one counts as now."""
    seen = {label.pk}
    while label.merged_into is not None and label.merged_into.pk not in seen:
        label = label.merged_into
        seen.add(label.pk)
    return label


def find_label(facet: Facet, name: str) -> Label | None:
    """Return the label of this name or spelling, resolved, or None."""
    key = name_key(name)
    found = Label.objects.filter(facet=facet, name_key=key).first()
    if found is None:
        alias = LabelAlias.objects.filter(facet=facet, vocabulary=OWN, text_key=key).first()
        found = alias.label if alias else None
    return resolve(found) if found else None


def index(facet: Facet) -> dict[str, int]:
    """Return name key -> label id of all labels and spellings of a facet, resolved."""
    merged = resolutions(facet.library)
    aliases = LabelAlias.objects.filter(facet=facet, vocabulary=OWN)
    found = dict(aliases.values_list("text_key", "label_id"))
    found.update(Label.objects.filter(facet=facet).values_list("name_key", "id"))
    return {key: merged.get(label_id, label_id) for key, label_id in found.items()}


# --- making -------------------------------------------------------------------------------
def get_or_create_label(
    facet: Facet, name: str, *, by: User | None = None
) -> tuple[Label, bool]:
    """Return the label of this name (in any spelling), created if there is none.

    1. A label or alias of the same name key is the label; another spelling is kept as alias.
    2. Otherwise a new label is created and the change recorded.
    """
    name = clean_name(name)
    found = find_label(facet, name)
    if found is not None:
        if found.name != name:
            add_alias(found, name)
        return found, False
    try:
        with transaction.atomic():
            return create_labels(facet, [name], by=by)[0], True
    except IntegrityError:  # another process was faster
        return resolve(Label.objects.get(facet=facet, name_key=name_key(name))), False


def create_labels(facet: Facet, names: Iterable[str], *, by: User | None = None) -> list[Label]:
    """Create labels of names known to be new, in this order."""
    with transaction.atomic():
        lock(facet)
        position = _next_position(facet)
        rows = [
            Label(facet=facet, name=name, name_key=name_key(name), position=position + number)
            for number, name in enumerate(clean_name(name) for name in names)
        ]
        labels = Label.objects.bulk_create(rows, batch_size=500)
        changes = [
            TaxonomyChange(label=label, kind=Kind.CREATE, by=by, after={"name": label.name})
            for label in labels
        ]
        TaxonomyChange.objects.bulk_create(changes, batch_size=500)
    return labels


def lock(facet: Facet) -> None:
    """Lock the labels and label sets of a facet until the transaction ends."""
    Facet.objects.select_for_update().get(pk=facet.pk)


def _next_position(facet: Facet) -> int:
    last = Label.objects.filter(facet=facet).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def add_alias(label: Label, text: str, *, vocabulary: str = OWN) -> LabelAlias:
    """Store another spelling of a label; the first label with a spelling keeps it."""
    alias, _ = LabelAlias.objects.get_or_create(
        facet_id=label.facet_id,
        vocabulary=vocabulary,
        text_key=name_key(text),
        defaults={"text": text, "label": label},
    )
    return alias


def label_set_of(facet: Facet, also: Iterable[int] = ()) -> LabelSet:
    """Return the immutable set of the labels on offer now (active, not merged) and `also`.

    1. The same labels always give the same set.
    2. Other labels give the next number; rows of a set never change.
    """
    offered = Label.objects.filter(facet=facet, is_active=True, merged_into__isnull=True)
    label_ids = sorted({*offered.values_list("id", flat=True), *also})
    uids = Label.objects.filter(id__in=label_ids).order_by().values_list("uid", flat=True)
    digest = _digest(uids)
    found = LabelSet.objects.filter(facet=facet, hash=digest).first()
    return found or _freeze(facet, digest, label_ids)


def label_sets_of(facet_ids: Iterable[int]) -> dict[int, LabelSet]:
    """Return facet id -> `label_set_of` for several facets, in two queries as a rule."""
    uids: dict[int, list[UUID]] = {facet_id: [] for facet_id in facet_ids}
    offered = Label.objects.filter(
        facet__in=list(uids), is_active=True, merged_into__isnull=True
    ).order_by()
    for facet_id, uid in offered.values_list("facet_id", "uid"):
        uids[facet_id].append(uid)
    digests = {facet_id: _digest(members) for facet_id, members in uids.items()}
    known = LabelSet.objects.filter(facet__in=list(uids), hash__in=digests.values())
    found = {row.facet_id: row for row in known if row.hash == digests[row.facet_id]}
    for facet in Facet.objects.filter(pk__in=uids.keys() - found.keys()):
        found[facet.pk] = label_set_of(facet)
    return found


def _digest(uids: Iterable[UUID]) -> str:
    """Return a hash of labels that is the same in every database."""
    return hashlib.sha256("\n".join(sorted(map(str, uids))).encode()).hexdigest()


def _freeze(facet: Facet, digest: str, label_ids: list[int]) -> LabelSet:
    with transaction.atomic():
        lock(facet)  # numbers are given one by one
        found = LabelSet.objects.filter(facet=facet, hash=digest).first()
        if found is not None:
            return found
        last = LabelSet.objects.filter(facet=facet).aggregate(last=Max("number"))["last"]
        frozen = LabelSet.objects.create(facet=facet, number=(last or 0) + 1, hash=digest)
        LabelSetMember.objects.bulk_create(
            LabelSetMember(label_set=frozen, label_id=label_id) for label_id in label_ids
        )
    return frozen


# --- changing -----------------------------------------------------------------------------
def rename(label: Label, name: str, *, by: User | None = None) -> TaxonomyChange:
    """Rename a label; the old name stays as a spelling."""
    name = clean_name(name)
    with transaction.atomic():
        label = Label.objects.select_for_update().get(pk=label.pk)
        before = label.name
        if name == before:
            raise BadInput(f"the label is called {name!r} already")
        _set_name(label, name)
        return _record(label, Kind.RENAME, by, before={"name": before}, after={"name": name})


def _set_name(label: Label, name: str) -> None:
    key = name_key(name)
    other = Label.objects.filter(facet=label.facet, name_key=key).exclude(pk=label.pk).first()
    if other is not None:
        raise BadInput(f"{other.name!r} already exists: merge {label.name!r} into it instead")
    spelling = LabelAlias.objects.filter(facet=label.facet, vocabulary=OWN, text_key=key)
    taken = spelling.exclude(label=label).first()
    if taken is not None:
        raise BadInput(f"{name!r} is another spelling of {taken.label.name!r}")
    add_alias(label, label.name)
    label.name, label.name_key = name, key
    label.save(update_fields=["name", "name_key"])


def merge(label: Label, into: Label, *, by: User | None = None) -> TaxonomyChange:
    """Let a label count as another one from now on, for all past and future judgements."""
    with transaction.atomic():
        lock(label.facet)  # labels merged crosswise wait
        label = Label.objects.select_for_update().get(pk=label.pk)
        target = resolve(Label.objects.get(pk=into.pk))
        if label.facet_id != target.facet_id:
            raise BadInput("only labels of one facet can be merged")
        if label.merged_into_id is not None:
            raise BadInput(f"{label.name!r} is merged into {label.merged_into} already")
        if label.pk == target.pk:
            raise BadInput(f"{label.name!r} cannot be merged into itself")
        if not target.is_active:
            raise BadInput(
                f"{target.name!r} is no longer offered, so both would be gone: offer it again "
                "first, or merge into another label"
            )
        label.merged_into = target
        label.save(update_fields=["merged_into"])
        after = {"merged_into": target.pk, "name": target.name}
        return _record(label, Kind.MERGE, by, before={"merged_into": None}, after=after)


def split(label: Label, names: Iterable[str], *, by: User | None = None) -> TaxonomyChange:
    """Retire a label in favour of finer ones, which nobody has judged yet."""
    names = [clean_name(name) for name in names]
    if len({name_key(name) for name in names} - {label.name_key}) < 2:
        raise BadInput("split a label into two or more others")
    with transaction.atomic():
        parts = [get_or_create_label(label.facet, name, by=by)[0] for name in names]
        before = _set_active(label, False)
        after = {"is_active": False, "labels": [part.pk for part in parts]}
        return _record(label, Kind.SPLIT, by, before={"is_active": before}, after=after)


def set_active(label: Label, is_active: bool, *, by: User | None = None) -> TaxonomyChange:
    """Offer a label again, or no longer; its judgements stay."""
    kind = Kind.REACTIVATE if is_active else Kind.DEACTIVATE
    with transaction.atomic():
        before = {"is_active": _set_active(label, is_active)}
        return _record(label, kind, by, before=before, after={"is_active": is_active})


def _set_active(label: Label, is_active: bool) -> bool:
    row = Label.objects.select_for_update().get(pk=label.pk)
    before, row.is_active = row.is_active, is_active
    row.save(update_fields=["is_active"])
    return before


def undo_change(change: TaxonomyChange) -> TaxonomyChange:
    """Undo a change, unless a later change depends on it."""
    with transaction.atomic():
        change = TaxonomyChange.objects.select_for_update().get(pk=change.pk)
        label = Label.objects.select_for_update().get(pk=change.label_id)
        if change.undone_at is not None:
            raise BadInput("this change is already undone")
        _take_back(change, label)
        change.undone_at = timezone.now()
        change.save(update_fields=["undone_at"])
    return change


def _take_back(change: TaxonomyChange, label: Label) -> None:
    if change.kind == Kind.RENAME:
        if label.name != change.after["name"]:
            raise BadInput(f"{label.name!r} was renamed again since: undo that first")
        _set_name(label, change.before["name"])
    elif change.kind == Kind.MERGE:
        if label.merged_into_id != change.after["merged_into"]:
            raise BadInput(f"{label.name!r} was merged elsewhere since: undo that first")
        label.merged_into = None
        label.save(update_fields=["merged_into"])
    elif change.kind == Kind.CREATE:
        _set_active(label, False)
    else:
        _set_active(label, change.before["is_active"])


def _record(
    label: Label, kind: str, by: User | None, *, before: dict[str, Any], after: dict[str, Any]
) -> TaxonomyChange:
    return TaxonomyChange.objects.create(
        label=label, kind=kind, by=by, before=before, after=after
    )
