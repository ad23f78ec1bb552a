from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep which features were read, so that predictions of replaced files count as stale."""

    dependencies = [("labeling", "0005_agreement_figures")]

    operations = [
        migrations.AddField(
            model_name="predictionset",
            name="features_hash",
            field=models.CharField(
                blank=True,
                help_text="Of which features of which tracks were read.",
                max_length=64,
            ),
        ),
    ]
