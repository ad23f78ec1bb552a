import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep the figures of agreement, so that a page need not compute them at each visit."""

    dependencies = [("labeling", "0004_presentation_track")]

    operations = [
        migrations.CreateModel(
            name="AgreementFigures",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "counted",
                    models.PositiveBigIntegerField(
                        default=0, help_text="Grows with every count."
                    ),
                ),
                ("figures_of", models.PositiveBigIntegerField(null=True)),
                ("made_of", models.CharField(blank=True, max_length=64)),
                ("figures", models.JSONField(default=dict)),
                ("computed_at", models.DateTimeField(null=True)),
                (
                    "library",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agreement_figures",
                        to="labeling.library",
                    ),
                ),
            ],
            options={"verbose_name_plural": "agreement figures"},
        ),
    ]
