"""docker-compose.yml: each of its commands, as a process, does the work of a team set-up."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from labeling import jobs
from labeling.models import (
    JobChunk,
    Library,
    ModelVersion,
    PredictionSet,
    QueueItem,
    Round,
    WorkerBeat,
)
from tests.faults.conftest import open_house, recordings  # noqa: F401 - fixtures
from tests.faults.house import until
from tests.faults.sound import plant_catalogue

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {"AUDIOTAG_SECRET_KEY": "s" * 50, "AUDIOTAG_DB_PASSWORD": "letters1"}
#: Several chunks, so that there is work for more than one worker.
N_TRACKS = 300
OURS = ("migrate", "web", "worker-audio", "worker-ml", "worker-default", "beat")


def filled(text, given):
    """Put in variables as compose does: ${NAME:-default}, ${NAME:?what to do}."""

    def one(match):
        name, kind, more = match.groups()
        if given.get(name):
            return given[name]
        if kind == ":?":
            raise KeyError(f"{name}: {more}")
        return more or ""

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", one, text)


def read(given=SECRETS):
    return yaml.safe_load(filled((ROOT / "docker-compose.yml").read_text(), given))


@pytest.fixture
def services():
    return read()["services"]


class TestFile:
    def test_no_log_grows_without_end(self, services):
        limits = [one["logging"]["options"] for one in services.values()]
        assert limits == [{"max-size": "10m", "max-file": "3"}] * len(services)

    def test_it_names_every_service(self, services):
        assert set(services) == {*OURS, "postgres", "redis"}

    @pytest.mark.parametrize("name", SECRETS)
    def test_without_a_secret_it_does_not_start(self, name):
        with pytest.raises(KeyError, match=name):
            read({key: value for key, value in SECRETS.items() if key != name})

    def test_no_secret_is_written_in_it(self):
        text = (ROOT / "docker-compose.yml").read_text()
        for line in text.splitlines():
            if re.search(r"(SECRET_KEY|PASSWORD):", line):
                assert "${" in line

    def test_all_but_the_first_step_are_watched(self, services):
        for name, service in services.items():
            if name != "migrate":
                assert "healthcheck" in service, name
                assert service["restart"] == "unless-stopped"

    def test_each_worker_is_well_only_while_its_own_process_lives(self, services):
        for name in ("worker-audio", "worker-ml", "worker-default", "beat"):
            (_, *command) = services[name]["healthcheck"]["test"]
            part = services[name]["command"][-1]
            check = f"own {part}" if part == jobs.SCHEDULER else f"own worker {part}"
            assert command == ["python", "manage.py", "doctor", "--only", check]

    def test_every_queue_has_its_workers(self, services):
        parts = {tuple(s["command"][2:]) for n, s in services.items() if n.startswith("worker")}
        assert parts == {("work", queue) for queue in jobs.QUEUES}

    def test_audio_is_read_only_and_data_shared(self, services):
        for name in OURS:
            assert services[name]["volumes"] == ["data:/data", "./audio:/audio:ro"]

    def test_every_volume_is_declared(self, services):
        declared = set(read()["volumes"])
        used = {v.partition(":")[0] for s in services.values() for v in s.get("volumes", ())}
        assert {name for name in used if not name.startswith(".")} == declared

    def test_the_images_are_targets_of_the_dockerfile(self, services):
        targets = set(
            re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(), re.M)
        )
        used = {services[name]["build"]["target"] for name in OURS}
        assert used == {"web", "worker"} < targets

    def test_every_setting_is_one_that_is_documented(self, services):
        documented = (ROOT / "docs" / "settings.md").read_text()
        for name in services["web"]["environment"]:
            assert f"`{name}`" in documented

    def test_docker_is_not_asked_to_send_the_data_folder(self):
        ignored = (ROOT / ".dockerignore").read_text().split()
        assert {".git", ".venv", "data", ".env"} <= set(ignored)


@pytest.mark.postgres_only
@pytest.mark.redis
@pytest.mark.timeout(300)
class TestProcesses:
    """The commands of the file against the servers of this machine."""

    @pytest.fixture
    def house(self, open_house):  # noqa: F811
        return open_house("team", is_migrated=False)

    @pytest.fixture
    def table(self, house, recordings):  # noqa: F811
        return plant_catalogue(house.folder / "audio", recordings, N_TRACKS)

    def start(self, house, services, service, *more):
        """Start the command of a service with its own environment, where it can be met."""
        given = dict(services[service]["environment"])
        for name in ("AUDIOTAG_DATA", "AUDIOTAG_DATABASE_URL", "AUDIOTAG_BROKER_URL"):
            given[name] = house.environment[name]
        given["AUDIOTAG_AUDIO_ROOTS"] = f"audio={house.folder / 'audio'}"
        command = [*services[service]["command"], *more]
        command[0] = sys.executable
        return house.start(*command, **given)

    def test_a_round_goes_through_them_by_two_audio_workers(self, house, services, table):
        assert self.start(house, services, "migrate").wait() == 0
        port = _free_port()
        services["web"]["command"][-1] = str(port)
        self.start(house, services, "web")
        self.start(house, services, "worker-audio", "--name", "audio1")
        self.start(house, services, "worker-audio", "--name", "audio2")
        for service in ("worker-ml", "worker-default", "beat"):
            self.start(house, services, service)
        until(lambda: _beating(house) == _expected(), 150, "six living processes")

        _import(house, table)
        (probe,) = house.ended(house.jobs.filter(kind="probe"))
        assert (probe.state, probe.result["probed"]) == ("done", N_TRACKS)
        features = house.ended([house.jobs.get(pk=probe.result["next_job"])])[0]
        assert (features.state, features.result["tracks_done"]) == ("done", N_TRACKS)
        _use_numpy(house)
        answer = json.loads(house.manage("run_round", "--library", "team", "--json"))
        _check_round(house, answer)
        assert _workers_of(house, probe, features) == {"audio1", "audio2"}
        assert set(house.jobs.values_list("state", "attempts")) == {("done", 1)}
        with urlopen(f"http://127.0.0.1:{port}/healthz?strict=1", timeout=10) as healthy:
            assert healthy.status == 200


def _import(house, table):
    arguments = ("--audio", str(table.parent), "--library", "team", "--json")
    house.manage("import_library", str(table), *arguments)


def _use_numpy(house):
    """Leave TensorFlow out: what it learns is tested elsewhere."""
    Library.objects.using(house.alias).filter(slug="team").update(network="pooled-numpy")


def _check_round(house, answer):
    assert (answer["model_version"], answer["promoted"]) == (1, True)
    assert answer["metrics"]["macro_ap"] > answer["baseline"]["macro_ap"]
    kinds = house.jobs.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["probe", "features", "train", "predict", "rank"]
    champion = ModelVersion.objects.using(house.alias).get(state="champion")
    assert PredictionSet.objects.using(house.alias).get().tracks == N_TRACKS
    live = Round.objects.using(house.alias).get(state="live")
    assert live.model_version_id == champion.pk
    ranked = QueueItem.objects.using(house.alias).filter(round=live, stratum="acquire")
    assert ranked.exclude(reason="").count() == answer["queue"]["acquire"] > 0


def _workers_of(house, *shared):
    """Return the names of the workers that did the chunks of these jobs."""
    chunks = JobChunk.objects.using(house.alias).filter(job__in=shared)
    assert set(chunks.values_list("state", flat=True)) == {"done"}
    return {chunk.result["worker"].partition("@")[0] for chunk in chunks}


def _expected():
    host = socket.gethostname()
    return {f"{name}@{host}" for name in ("audio1", "audio2", "ml", "default")} | {"schedule"}


def _beating(house):
    names = WorkerBeat.objects.using(house.alias).values_list("name", "queues")
    return {"schedule" if queues == jobs.SCHEDULER else name for name, queues in names}


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_dockerfile_copies_only_what_is_there():
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and " . " not in line:
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists()
