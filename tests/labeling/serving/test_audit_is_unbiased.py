"""The figures of the audit stratum stay honest whatever acquisition takes from the pool."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import serve
from labeling.models import Annotation, Judgement, QueueItem, Track
from labeling.models.queue import Stratum
from ml.metrics import splits
from tests import factories

pytestmark = pytest.mark.django_db
PREVALENCE = 0.15


def make_tracks(library, n, rng):
    """Tracks in groups of one to three, a label true for 15 %, audit groups by their hash."""
    truth = rng.random(n) < PREVALENCE
    groups, group = [], 0
    while len(groups) < n:
        groups += [f"g{group}"] * int(rng.integers(1, 4))
        group += 1
    groups = groups[:n]
    sizes = {name: groups.count(name) for name in groups}
    audit = splits.audit_groups(list(sizes), list(sizes.values()), share=0.2)
    rows = Track.objects.bulk_create(
        [
            Track(
                library=library,
                key=f"{position}.mp3",
                split_group=groups[position],
                is_audit=groups[position] in audit,
                random_key=splits.track_random_key(str(library.uid), f"{position}.mp3"),
            )
            for position in range(n)
        ],
        batch_size=500,
    )
    return {row.pk: bool(truth[position]) for position, row in enumerate(rows)}


def acquire_positives(library, truth):
    """Plant an acquisition that leans to positives as far as it can: it takes all of them."""
    round_ = serve.live_round(library)
    pool = Track.objects.filter(library=library, is_audit=False)
    chosen = sorted(pool, key=lambda track: not truth[track.pk])
    QueueItem.objects.bulk_create(
        [
            QueueItem(
                round=round_,
                track=track,
                stratum=Stratum.ACQUIRE,
                strategy="planted",
                rank=rank,
                reason="planted",
            )
            for rank, track in enumerate(chosen)
        ],
        batch_size=500,
    )


def answer_all(annotator, label, truth, n):
    for _ in range(n):
        shown = desk.next_tracks(annotator)[0]
        values = {label.pk: Judgement.YES} if truth[shown.track_id] else {}
        desk.save(
            record.Submission(
                track=shown.track,
                annotator=annotator,
                answers=[FacetAnswer(label.facet_id, values)],
                presentation=shown,
            )
        )


def rate_in(strata):
    rows = Annotation.objects.filter(stratum__in=strata)
    positives = Judgement.objects.filter(answer__annotation__in=rows, value=1).count()
    return positives / rows.count(), rows.count()


@pytest.mark.parametrize(("size", "answers"), [(80, 60), (5_000, 500)])
def test_the_label_rate_of_the_audit_stratum_is_the_true_one(size, answers, rng):
    library = factories.make_library()
    (label,) = factories.make_labels(library, names=["Drone"])
    truth = make_tracks(library, size, rng)
    acquire_positives(library, truth)
    answer_all(factories.make_annotator(library), label, truth, answers)
    true_rate = float(np.mean(list(truth.values())))
    audit_rate, n = rate_in([Stratum.AUDIT, Stratum.OVERLAP])
    standard_error = math.sqrt(true_rate * (1 - true_rate) / n)
    assert abs(audit_rate - true_rate) <= 3 * standard_error
    acquired_rate, _ = rate_in([Stratum.ACQUIRE])
    assert acquired_rate > true_rate  # the plant is real
