"""Work of known outcome, put in the place of a kind's own for the length of a test."""

from __future__ import annotations

from contextlib import contextmanager

from workers.jobs import chunks, run


@contextmanager
def doing(kind, work, chunk_work=None):
    """Let jobs of this kind do `work` inside the block."""
    before = run.WORK.get(kind), chunks.CHUNK_WORK.get(kind)
    run.WORK[kind] = work
    if chunk_work is not None:
        chunks.CHUNK_WORK[kind] = chunk_work
    try:
        yield
    finally:
        _put(run.WORK, kind, before[0])
        _put(chunks.CHUNK_WORK, kind, before[1])


def _put(registry, kind, work):
    if work is None:
        registry.pop(kind, None)
    else:
        registry[kind] = work
