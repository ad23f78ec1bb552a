from django.db import migrations, models


class Migration(migrations.Migration):
    """Give cross-validation a kind of its own, so that it needs no training's place."""

    dependencies = [("labeling", "0006_prediction_set_features_hash")]

    operations = [
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
                    ("predict", "Predict the pool"),
                    ("rank", "Rank the queue"),
                ],
                max_length=12,
            ),
        ),
    ]
