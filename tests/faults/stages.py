"""The stages of the loop as things to kill: how each gets work, and what it must leave."""

from __future__ import annotations

import random
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from django.utils import timezone

from labeling import jobs
from labeling.models import Job, Library
from labeling.models.jobs import JobKind
from tests.faults.house import until
from tests.faults.ledger import Ledger
from tests.faults.sound import plant_catalogue

#: More than any job here is killed; that a job ends after few deaths is tested elsewhere.
ATTEMPTS = 60


class Stage(ABC):
    """A kind of job in a house, with more of it whenever a worker has nothing to do."""

    kind: str
    n_tracks = 72

    def __init__(self, house, recordings) -> None:
        self.house = house
        self.ledger = Ledger(house)
        self.asked: list[Job] = []
        self.libraries: list[str] = []
        self._recordings = recordings

    def prepare(self) -> None:  # noqa: B027 - some need nothing
        """Bring the house to where work of this kind can be asked for."""

    @abstractmethod
    def ask(self) -> Job:
        """Ask for one more job."""

    def ask_last(self) -> Job:
        """Ask for one more job where nothing else needs to be made ready."""
        return self.new(self.libraries[0])

    @abstractmethod
    def check(self, ended: list[Job]) -> None:
        """Compare the results with what was asked for."""

    def feed(self) -> None:
        """See to it that there is work."""
        if not self.open().exists():
            self.asked.append(self.ask())

    def open(self):
        return self.house.jobs.filter(pk__in=[job.pk for job in self.asked], state__in=Job.OPEN)

    def new(self, slug, **arguments) -> Job:
        return self.house.ask(
            self.kind,
            library=self.house.library(slug),
            arguments={"then": [], **arguments},
            max_attempts=ATTEMPTS,
        )

    def import_one(self, *, n_labelled=None) -> str:
        """Import a catalogue of its own; the probe that this asks for is left to the test."""
        slug = f"catalogue-{len(self.libraries) + 1}"
        folder = self.house.folder / "audio" / slug
        table = plant_catalogue(folder, self._recordings, self.n_tracks, n_labelled=n_labelled)
        self.house.manage(
            "import_library", str(table), "--audio", str(folder), "--library", slug, "--json"
        )
        self.house.jobs.filter(kind=JobKind.PROBE, library__slug=slug).delete()
        self.libraries.append(slug)
        return slug

    def use_network(self, slug, network) -> None:
        rows = Library.objects.using(self.house.alias)
        assert rows.filter(slug=slug).update(network=network) == 1


class Probe(Stage):
    kind = JobKind.PROBE

    def ask(self):
        return self.new(self.import_one())

    def check(self, ended):
        self.ledger.check_probes(self.n_tracks * len(self.libraries))
        assert sum(job.result["probed"] for job in ended) <= self.n_tracks * len(ended)


class Features(Stage):
    kind = JobKind.FEATURES

    def ask(self):
        return self.new(self.import_one())

    def check(self, ended):
        self.ledger.check_features(self.n_tracks * len(self.libraries))
        for job in ended:
            counts = job.result
            assert counts["tracks_failed"] == 0
            assert counts["tracks_done"] + counts["tracks_skipped"] == self.n_tracks


class Train(Stage):
    kind = JobKind.TRAIN
    n_tracks = 48
    network = "pooled-numpy"

    def prepare(self):
        slug = self.import_one()
        self.use_network(slug, self.network)
        self.house.manage("extract_features", "--library", slug, "--inline", "--json")

    def ask(self):
        return self.new(self.libraries[0], seed=len(self.asked) + 1)

    def ask_last(self):
        return self.ask()

    def check(self, ended):
        self.ledger.check_trainings(ended)


class TrainKeras(Train):
    network = "pooled"


class Predict(Stage):
    kind = JobKind.PREDICT
    n_tracks = 48
    _AT_ONCE = 60

    def prepare(self):
        slug = self.import_one()
        self.use_network(slug, "pooled-numpy")
        for command in ("extract_features", "train"):
            self.house.manage(command, "--library", slug, "--inline", "--json")

    def feed(self):
        # One takes a moment: only many in a row are hit at every point of their run.
        missing = self._AT_ONCE - self.open().count()
        self.asked += [self.ask() for _ in range(missing)]

    def ask(self):
        return self.new(self.libraries[0])

    def check(self, ended):
        self.ledger.check_predictions()
        assert {job.result["tracks"] for job in ended} == {self.n_tracks}


@dataclass
class Toll:
    """Count of the kills of one stage, and of those that missed."""

    kills: int = 0
    missed: int = 0
    moments_s: list[float] = field(default_factory=list)


def kill_workers(stage: Stage, kills: int, rng: random.Random, course_s: float) -> Toll:
    """Kill a worker with its children `kills` times while it works.

    The moments are spread over the course of a job, one in each part of it. A kill that found
    nothing under way is not counted; it shows how long a job takes by now.
    """
    toll = Toll()
    queue = jobs.queue_of(stage.kind)
    while toll.kills < kills:
        assert toll.missed < 3 * kills, "most kills found nothing under way"
        stage.feed()
        since = timezone.now()
        worker = stage.house.work(queue)
        until(lambda w=worker, s=since: _is_at_work(stage, w, s), 90, "a worker at work")
        moment_s = course_s * (toll.kills + rng.random()) / kills
        threading.Event().wait(moment_s)
        stage.house.kill(worker)
        until(lambda: not stage.house.left_behind(), 10, "the end of every process")
        if stage.open().filter(state=Job.State.RUNNING, started_at__gte=since).exists():
            toll.kills += 1
            toll.moments_s.append(round(moment_s, 2))
        else:
            toll.missed += 1
            course_s = _course_s(stage.asked[-1].pk, stage) or course_s
    return toll


def _course_s(pk: int, stage: Stage) -> float:
    """Return how long a job took in its one attempt; 0 where it took more than one."""
    job = stage.house.jobs.get(pk=pk)
    took_one = job.attempts == 1 and job.finished_at is not None
    return (job.finished_at - job.started_at).total_seconds() if took_one else 0.0


def _is_at_work(stage: Stage, worker, since) -> bool:
    assert worker.poll() is None, (stage.house.folder / "processes.log").read_text()[-2000:]
    taken = stage.house.jobs.filter(pk__in=[job.pk for job in stage.asked])
    return taken.filter(started_at__gte=since).exists()


def undisturbed(stage: Stage) -> float:
    """Let a worker do one job to its end; return how many seconds that takes."""
    stage.asked.append(stage.ask())
    worker = stage.house.work(jobs.queue_of(stage.kind))
    (job,) = stage.house.ended(stage.asked)
    stage.house.kill(worker)
    assert (job.state, job.reason) == ("done", "")
    return _course_s(job.pk, stage)


def settle(stage: Stage, worker, ended: list[Job]) -> None:
    """Compare what is there with what was asked for, then let the next job tidy up."""
    assert {(job.state, job.reason) for job in ended} == {("done", "")}
    stage.check(ended)
    stage.ledger.named()
    stage.ledger.age_everything()
    stage.asked.append(stage.ask_last())
    last = stage.house.ended(stage.asked)
    assert last[-1].state == "done"
    # It sweeps once it has committed.
    until(lambda: not stage.ledger.strangers(), 30, "the end of every file that no row names")
    stage.house.kill(worker)
    assert not stage.house.left_behind()
    stage.check(last)
