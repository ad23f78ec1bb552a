import re
import unicodedata

from django.db import migrations

#: The rule of `labeling.names` when this was written.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HIDDEN = re.compile(f"[{_INVISIBLE}]+")
#: Model, field of the name, field of its key, and where the key is unique.
_NAMES = (
    ("Facet", "name", "name_key", ("library_id",)),
    ("Label", "name", "name_key", ("facet_id",)),
    ("LabelAlias", "text", "text_key", ("facet_id", "vocabulary")),
    ("Annotator", "name", "name_key", ("library_id",)),
)


def name_key(name):
    text = unicodedata.normalize("NFKC", _HIDDEN.sub("", name))
    return " ".join(text.casefold().split())


def show_names(apps, schema_editor):
    """Take what nobody sees out of names and keys, where the key is free.

    A label whose key another label has looks the same, so it is merged into that one; the
    Taxonomy page can undo this. Annotators stay separate: their answers never become others'.
    """
    for model, name_field, key_field, scope in _NAMES:
        rows = apps.get_model("labeling", model).objects.order_by("id")
        for row in rows.iterator(chunk_size=1_000):
            key = name_key(getattr(row, key_field))
            if not key or key == getattr(row, key_field):
                continue
            within = {field: getattr(row, field) for field in scope}
            there = rows.filter(**within, **{key_field: key}).first()
            if there is None:
                tidy = " ".join(_HIDDEN.sub("", getattr(row, name_field)).split())
                setattr(row, name_field, tidy)
                setattr(row, key_field, key)
                row.save(update_fields=[name_field, key_field])
            elif model == "Label":
                merge(apps, row, there)


def merge(apps, label, target):
    """Merge a label into one that looks the same, as the Taxonomy page does."""
    seen = {label.pk}
    while target.merged_into is not None and target.merged_into_id not in seen:
        target = target.merged_into
        seen.add(target.pk)
    if label.merged_into_id is not None or target.pk == label.pk or not target.is_active:
        return
    label.merged_into = target
    label.save(update_fields=["merged_into"])
    apps.get_model("labeling", "TaxonomyChange").objects.create(
        label=label,
        kind="merge",
        before={"merged_into": None},
        after={"merged_into": target.pk, "name": target.name},
    )


class Migration(migrations.Migration):
    """Find labels, facets and annotators of earlier imports by what people see."""

    dependencies = [
        ("labeling", "0010_import_batches_plural"),
    ]

    operations = [
        migrations.RunPython(show_names, migrations.RunPython.noop),
    ]
