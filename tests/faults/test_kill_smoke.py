"""Two kills in every test run; `make faults` does the many."""

from __future__ import annotations

import random

import pytest

from labeling import jobs
from tests.faults.stages import Features, Train, kill_workers

pytestmark = pytest.mark.timeout(240)


class FewFeatures(Features):
    n_tracks = 24


def test_two_kills_cost_nothing(open_house, recordings):
    house = open_house("embedded")
    features = FewFeatures(house, recordings)
    finish_after_a_kill(features)
    train = Train(house, recordings)
    train.libraries = features.libraries
    train.use_network(train.libraries[0], "pooled-numpy")
    finish_after_a_kill(train)
    assert train.ledger.files() >= train.ledger.named()
    visible = {file for file in train.ledger.strangers() if "/." not in file}
    assert all(file.startswith(("features/", "models/")) for file in visible)


def finish_after_a_kill(stage):
    kill_workers(stage, 1, random.Random(stage.kind), 0.3)
    worker = stage.house.work(jobs.queue_of(stage.kind))
    ended = stage.house.ended(stage.asked)
    assert {(job.state, job.reason) for job in ended} == {("done", "")}
    assert max(job.attempts for job in ended) > 1
    stage.check(ended)
    stage.house.kill(worker)
    assert not stage.house.left_behind()
