import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def rename_parts(apps, schema_editor):
    """Give the parts of stored selections the names that they have now."""
    for model, read in (("Snapshot", "selection"), ("Job", "arguments")):
        for row in apps.get_model("labeling", model).objects.iterator(chunk_size=500):
            stored = getattr(row, read)
            selection = stored if model == "Snapshot" else stored.get("selection")
            if not selection or "annotator_kinds" in selection:
                continue
            number = selection.pop("guideline", None)
            selection["guidelines"] = [] if number is None else [number]
            if "sources" in selection:
                selection["annotator_kinds"] = selection["sources"]
            selection["sources"] = []
            row.save(update_fields=[read])


class Migration(migrations.Migration):
    """Tell uploads apart, keep what a selection meant, and group runs that are compared."""

    dependencies = [
        ("labeling", "0007_job_kind_evaluate"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="annotation",
            name="batch",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The upload that it came with; null: none.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="annotations",
                to="labeling.importbatch",
            ),
        ),
        migrations.AddField(
            model_name="snapshot",
            name="facts",
            field=models.JSONField(
                default=dict,
                help_text="Who said how much, and what the words of the selection meant.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("import", "Import a catalogue"),
                    ("probe", "Listen to new files"),
                    ("features", "Compute features"),
                    ("consistency", "Measure consistency"),
                    ("snapshot", "Take a snapshot"),
                    ("train", "Train and evaluate"),
                    ("evaluate", "Measure by folds"),
                    ("compare", "Train on everybody, legacy, current"),
                    ("predict", "Predict the pool"),
                    ("rank", "Rank the queue"),
                ],
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="RunGroup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("criteria", "Everybody, legacy, current")], max_length=12
                    ),
                ),
                (
                    "facts",
                    models.JSONField(
                        default=dict, help_text="What all runs of it have in common."
                    ),
                ),
                (
                    "result",
                    models.JSONField(
                        default=dict, help_text="Figures of each arm, differences."
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "library",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="run_groups",
                        to="labeling.library",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.AddField(
            model_name="trainingrun",
            name="group",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="labeling.rungroup",
            ),
        ),
        migrations.AddField(
            model_name="trainingrun",
            name="arm",
            field=models.CharField(
                blank=True, help_text="What sets it apart in its group.", max_length=12
            ),
        ),
        migrations.RunPython(rename_parts, migrations.RunPython.noop),
    ]
