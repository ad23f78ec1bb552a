from django.db import migrations, models


class Migration(migrations.Migration):
    """Find what an annotator was shown of a track, without reading all they were shown."""

    dependencies = [("labeling", "0003_library_shares_at_most_1")]

    operations = [
        migrations.AddIndex(
            model_name="presentation",
            index=models.Index(fields=["track", "annotator"], name="presentation_track"),
        ),
    ]
