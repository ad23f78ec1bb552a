"""Decoding of the files of a chunk, in several children at once."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from celery import current_task

from labeling.loop import features
from labeling.loop.features import Failure
from ml.audio.reader import AudioReader
from ml.errors import AudioError, CancelledError, ParameterError
from workers.jobs.chunks import Lease

Result = TypeVar("Result")
Work = Callable[[AudioReader, int, Path], Result]


def children_here() -> int:
    """Return how many files to decode at once: one in a worker (others help), else per core."""
    is_task = bool(current_task) and current_task.request.id is not None
    return 1 if is_task else max(1, os.cpu_count() or 1)


def decode_each(
    lease: Lease, audio_ids: Sequence[int], work: Work[Result]
) -> tuple[list[Result], list[Failure]]:
    """Apply `work` to each file in order; a file that breaks its child is a Failure.

    Raises CancelledError if the lease is asked to stop; nothing is kept then.
    """
    paths = features.paths_of(audio_ids)
    results: list[Result] = []
    failures: list[Failure] = []
    for number, outcome in enumerate(_outcomes(lease, audio_ids, paths, work), start=1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            results.append(outcome)
        lease.progress(number)
    return results, failures


def _outcomes(
    lease: Lease, audio_ids: Sequence[int], paths: dict[int, Path | None], work: Work[Result]
) -> Iterator[Result | Failure]:
    n_children = min(children_here(), max(1, len(audio_ids)))
    readers: queue.SimpleQueue[AudioReader] = queue.SimpleQueue()
    opened = [AudioReader() for _ in range(n_children)]
    for reader in opened:
        readers.put(reader)

    def one(audio_id: int) -> Result | Failure:
        if lease.should_stop():
            raise CancelledError(f"job {lease.job.pk} was asked to stop")
        path = paths.get(audio_id)
        if path is None:
            return Failure(audio_id, "the file has been moved or removed", is_missing=True)
        reader = readers.get()
        try:
            return work(reader, audio_id, path)
        except AudioError as error:
            return Failure(audio_id, error.reason, is_missing=error.kind == "missing")
        except ParameterError as error:
            return Failure(audio_id, f"no features can be made of it: {error}")
        finally:
            readers.put(reader)

    try:
        with ThreadPoolExecutor(n_children) as pool:
            yield from pool.map(one, audio_ids)
    finally:
        for reader in opened:
            reader.close()
