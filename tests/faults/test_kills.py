"""Workers killed at seeded moments in each stage of the loop, doing the loop's own work.

Every job ends, with one result; every file that is left is named by a row and whole; no process
is left behind.
"""

from __future__ import annotations

import random
import time

import pytest

from labeling import jobs
from tests.faults.stages import (
    Features,
    Predict,
    Probe,
    Train,
    TrainKeras,
    kill_workers,
    settle,
    undisturbed,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
KILLS = 10


@pytest.mark.parametrize("profile", ["embedded", "team"])
@pytest.mark.parametrize("stage_of", [Probe, Features, Train, TrainKeras, Predict])
def test_every_job_ends_once(open_house, recordings, tolls, profile, stage_of):
    stage = stage_of(open_house(profile), recordings)
    stage.prepare()
    course_s = undisturbed(stage)
    begun = time.monotonic()
    rng = random.Random(f"{profile} {stage_of.__name__}")
    toll = kill_workers(stage, KILLS, rng, course_s)
    worker = stage.house.work(jobs.queue_of(stage.kind))
    ended = stage.house.ended(stage.asked, 240)
    settle(stage, worker, ended)
    tolls.append(
        f"{stage_of.__name__:<11} {profile:<9} {toll.kills:>5} {toll.missed:>6} "
        f"{course_s:>7.2f} {len(ended):>5} {sum(job.attempts for job in ended):>8} "
        f"{time.monotonic() - begun:>8.0f}  one each"
    )
