"""Trainings and pages of reports."""

from __future__ import annotations

import io
import json

from django.core.management import call_command
from django.utils import timezone

from labeling.models import (
    GuidelineVersion,
    Presentation,
)


def run(name, library, *more):
    out = io.StringIO()
    call_command(
        name, "--library", library.slug, "--json", *more, stdout=out, stderr=io.StringIO()
    )
    return json.loads(out.getvalue())


def train(library, *more):
    epochs = () if "--epochs" in more else ("--epochs", "3")
    return run("train", library, "--inline", *epochs, *more)


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def open_repeat(annotator, track):
    now = timezone.now()
    return Presentation.objects.create(
        annotator=annotator, track=track, library=track.library, stratum="repeat",
        guideline=GuidelineVersion.objects.first(), presented_at=now, lease_until=now,
    )  # fmt: skip
