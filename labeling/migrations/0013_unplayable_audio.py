from django.db import migrations, models

#: Reasons that container and coding alone give; the others need another probe.
_REASONS = (
    ({"container": "AIFF"}, "AIFF"),
    ({"subtype": "DOUBLE"}, "WAV with 64-bit float numbers"),
    ({"subtype": "MPEG_LAYER_I"}, "MPEG Layer I"),
    ({"subtype": "MPEG_LAYER_II"}, "MPEG Layer II"),
)


def mark_unplayable(apps, schema_editor):
    """Mark files that were probed before: they would be served, and nobody could hear them."""
    files = apps.get_model("labeling", "AudioFile").objects.using(schema_editor.connection.alias)
    for found, reason in _REASONS:
        files.filter(unplayable="", **found).update(unplayable=reason)


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
        migrations.RunPython(mark_unplayable, migrations.RunPython.noop, elidable=True),
    ]
