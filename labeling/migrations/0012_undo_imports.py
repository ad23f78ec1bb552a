import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep what an import added, so that it can be undone."""

    dependencies = [
        ("labeling", "0011_visible_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="annotation",
            name="extra",
            field=models.JSONField(
                blank=True,
                help_text="Columns of the catalogue that belong to this answer.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="annotator",
            name="withdrawn_at",
            field=models.DateTimeField(
                blank=True, help_text="When the import that created it was undone.", null=True
            ),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="added",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="undo_job",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="undone_imports",
                to="labeling.job",
            ),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="undo_report",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="importbatch",
            name="undone_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="label",
            name="withdrawn_at",
            field=models.DateTimeField(
                blank=True, help_text="When the import that created it was undone.", null=True
            ),
        ),
        migrations.AddField(
            model_name="track",
            name="batch",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The import that created it; null: unknown.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tracks",
                to="labeling.importbatch",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("import", "Import a catalogue"),
                    ("undo_import", "Undo an import"),
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
        migrations.AlterField(
            model_name="track",
            name="state",
            field=models.CharField(
                choices=[
                    ("no_audio", "no audio"),
                    ("missing", "file missing"),
                    ("pending", "waiting for the audio worker"),
                    ("ready", "ready"),
                    ("unreadable", "unreadable"),
                    ("withdrawn", "withdrawn with its import"),
                ],
                default="no_audio",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="ImportedChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("before", models.JSONField()),
                ("after", models.JSONField()),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="labeling.importbatch",
                    ),
                ),
                (
                    "track",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="imported_changes",
                        to="labeling.track",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
    ]
