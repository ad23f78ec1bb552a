from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("labeling", "0012_undo_imports"),
    ]

    operations = [
        migrations.AddField(
            model_name="audiofile",
            name="unplayable",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Why browsers cannot play it; empty if they can.",
                max_length=100,
            ),
        ),
        migrations.AddField(
            model_name="audiofile",
            name="decoding",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="Version of the rules of the last probe."
            ),
        ),
        migrations.AddIndex(
            model_name="audiofile",
            index=models.Index(fields=["unplayable"], name="audio_unplayable"),
        ),
    ]
