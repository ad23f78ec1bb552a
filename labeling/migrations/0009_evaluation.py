import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep the place of the evaluation record of a run: its predictions for held-out tracks."""

    dependencies = [("labeling", "0008_selection_by_source")]

    operations = [
        migrations.CreateModel(
            name="Evaluation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("uid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "side",
                    models.CharField(
                        choices=[("audit", "Audit"), ("folds", "Folds")], max_length=8
                    ),
                ),
                ("network", models.CharField(max_length=40)),
                (
                    "folder",
                    models.CharField(help_text="Below the folder of models.", max_length=200),
                ),
                (
                    "sha256",
                    models.CharField(help_text="Of the record's file.", max_length=64),
                ),
                (
                    "answers_hash",
                    models.CharField(
                        help_text="Of the held-out tracks and what was judged of them.",
                        max_length=64,
                    ),
                ),
                ("tracks", models.PositiveIntegerField()),
                ("verdict", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "job",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="labeling.job",
                    ),
                ),
                (
                    "library",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluations",
                        to="labeling.library",
                    ),
                ),
                (
                    "run",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="evaluation",
                        to="labeling.trainingrun",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
    ]
