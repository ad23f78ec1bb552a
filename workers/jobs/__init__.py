"""Jobs: claimed once, kept alive, shared in chunks, committed once.

Celery only wakes a worker; the row of the job is the truth about its state. `run` claims and
commits a job, `chunks` shares long ones, `heartbeat` and `beats` show that work and workers
live, `stopping` names why work ends early, `upkeep` puts right what was lost, `schedules` holds
the regular tasks.
"""

__all__ = ["beats", "chunks", "run", "schedules", "stopping", "upkeep"]
