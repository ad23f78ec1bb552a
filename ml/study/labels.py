"""Runs of an experiment under the same labels: those of either run, or those of all runs.

Stage: study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ml.evaluation.comparison import common
from ml.study.store import StoredRun
from ml.types import LabelMatrix


def under_all_labels(run: StoredRun, other: StoredRun) -> StoredRun:
    """Add the labels of another run; the run predicts their prior.

    The metrics of a run then include the labels that it has not learnt.

    Parameters
    ----------
    run : to extend. other : run with further labels, on the same held-out tracks.

    Returns
    -------
    StoredRun : `run` itself if either failed or the held-out tracks differ.
    """
    mine, its = run.held_out, other.held_out
    if mine is None or its is None or not np.array_equal(mine.track_uids, its.track_uids):
        return run
    known = {label.uid for label in mine.labels}
    extra = [n for n, label in enumerate(its.labels) if label.uid not in known]
    prior = its.prior[:, extra]
    constant = its.constant[:, extra]
    half = np.full((mine.n_parts, len(extra)), 0.5)
    held_out = replace(
        mine,
        reference=LabelMatrix(
            np.hstack([mine.reference.labels, its.reference.labels[:, extra]]),
            np.hstack([mine.reference.label_mask, its.reference.label_mask[:, extra]]),
        ),
        logits=np.hstack([mine.logits, np.log(constant / (1 - constant))]).astype(np.float32),
        probabilities=np.hstack([mine.probabilities, constant]).astype(np.float32),
        thresholds=np.hstack([mine.thresholds, half]),
        prior=np.hstack([mine.prior, np.repeat(prior[:1], mine.n_parts, axis=0)]),
        labels=(*mine.labels, *(its.labels[n] for n in extra)),
    )
    return replace(run, held_out=held_out)


def under_common_labels(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Restrict the runs to the labels that all runs of the same seed have learnt.

    A label made of others counts as common if it means the same in all runs.

    Parameters
    ----------
    runs : of any seeds.

    Returns
    -------
    list of StoredRun : without validation records, without failed runs, and without seeds that
        have a single run or no common label.
    """
    found = []
    for seed in sorted({run.seed for run in runs}):
        same = [run for run in runs if run.seed == seed and run.held_out is not None]
        records = [run.held_out for run in same if run.held_out is not None]
        if len(records) < 2:
            continue
        _, columns = common(records)
        if not len(columns[0]):
            continue
        found += [
            replace(run, held_out=record.of_columns(own), validation=None)
            for run, record, own in zip(same, records, columns, strict=True)
        ]
    return found
