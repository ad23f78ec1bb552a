from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from labeling.loop.consistency import agreement, rollups
from labeling.loop.demo import library as demo_data
from labeling.loop.library import libraries
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    DirtyKey,
    Facet,
    GuidelineVersion,
    Label,
    Library,
    Track,
)
from ml.simulation.library import SimulationConfig, simulate_tracks
from workers.demo_audio import make_audio
from workers.management.commands import demo_library
from workers.process import startup

pytestmark = pytest.mark.django_db
END = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DATA", tmp_path)
    return tmp_path


@pytest.fixture
def silent(monkeypatch):
    """Files without a sound: their bytes matter to the audio tests alone."""

    def write(tracks, lengths_s, folder, processes, progress):
        for key in tracks.keys:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(b"x")
        return len(tracks.keys)

    monkeypatch.setattr(demo_library, "make_audio", write)


def run(capsys, **options):
    call_command("demo_library", json=True, **options)
    return json.loads(capsys.readouterr().out)


def counts():
    return [
        model.objects.count()
        for model in (Track, Annotation, Label, Annotator, GuidelineVersion, User)
    ]


def test_consistency_finds_the_planted_change_and_whose_it_is(tmp_path):
    """The uid decides who is on the audit side: fixed, so that each run is the same."""
    Library.objects.filter(pk=demo_data.start_demo().pk).update(uid=UUID(int=7))
    library = demo_data.build_demo(demo_data.plan_demo(), tmp_path, tmp_path, END)
    changed = {
        (row["annotator"], row["label"]): row
        for row in agreement.report(library)["drift"]
        if row["verdict"].startswith("changed")
    }
    planted = {("Ana", label) for label in ("Atmosphere", "Ambient, Chill", "Electronica")}
    assert planted <= changed.keys()
    assert {annotator for annotator, _ in changed} == {"Ana"}
    row = changed[("Ana", "Atmosphere")]
    assert row["stratum"] == "audit+overlap"
    assert row["rate_after"] < 0.5 * row["rate_before"]
    assert changed[("Ana", "Ambient, Chill")]["rate_after"] > 1.5 * row["rate_after"]
    cut = (END - demo_data.PERIOD / 2).date()
    assert row["period_after"].startswith(str(cut))
    assert not DirtyKey.objects.exists()


def test_small_library_is_whole_and_made_once(data, silent, capsys):
    answer = run(capsys, tracks=60)
    library = Library.objects.get(slug="demo")
    assert (answer["library"], answer["tracks"]) == ("demo", 60)
    assert library.is_synthetic
    assert {(user["name"], user["role"]) for user in answer["users"]} == {
        ("ana", "curator"),
        ("ben", "annotator"),
        ("cora", "annotator"),
        ("mia", "manager"),
    }
    before = counts()
    assert run(capsys) == answer
    assert counts() == before


def test_demo_that_was_cut_off_at_any_step_is_finished(data, silent, capsys, monkeypatch):
    for step in ("make_audio", "_users"):
        owner = demo_library if step == "make_audio" else demo_library.Command
        with monkeypatch.context() as cut:
            cut.setattr(owner, step, lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run(capsys, tracks=40)
        assert Library.objects.get().is_synthetic
        assert startup._wants_demo()
    run(capsys, tracks=40)
    assert (Track.objects.count(), User.objects.count()) == (40, 4)


def test_users_that_were_made_when_it_was_cut_off_can_log_in(data, silent, capsys, monkeypatch):
    with monkeypatch.context() as cut:
        cut.setattr(demo_data, "_link", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(capsys, tracks=40)
    for user in run(capsys, tracks=40)["users"]:
        assert User.objects.get(username=user["name"]).check_password(user["password"])


class TestStart:
    def demos(self, data):
        """Return how often the demo is made when the program starts, and what it leaves."""
        started = []

        def run_once(process):
            started.append(process.name)
            return 0

        startup.prepare_demo(run_once, lambda text: None)
        return started

    def test_without_a_library_the_demo_is_made(self, data):
        assert self.demos(data) == ["demo"]

    def test_one_that_was_begun_is_gone_on_with_until_its_users_are_told(self, data):
        demo_data.start_demo()
        assert self.demos(data) == ["demo", "first round"]
        assert (data / startup.DEMO_NOTE).exists()
        assert self.demos(data) == ["first round"]

    def test_one_that_fails_again_is_tried_at_the_next_start(self, data):
        demo_data.start_demo()
        startup.prepare_demo(lambda process: -2, lambda text: None)
        assert self.demos(data)[0] == "demo"

    @pytest.mark.parametrize("slug", ["house", "demo"])
    def test_a_library_of_somebody_is_left_alone(self, data, slug):
        libraries.get_or_create_library(slug)
        assert self.demos(data) == []


def test_library_of_somebody_that_is_called_demo_is_refused(data, silent):
    libraries.get_or_create_library("demo")
    with pytest.raises(CommandError, match="is not a demo library") as refused:
        call_command("demo_library", tracks=40)
    assert refused.value.returncode == 2
    assert not Track.objects.exists()


def test_passwords_open_the_accounts_and_are_kept_private(data, silent, capsys):
    users = run(capsys, tracks=40)["users"]
    kept = data / "demo" / "logins.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text()) == {user["name"]: user["password"] for user in users}
    assert User.objects.get(username="ana").check_password(users[0]["password"])
    assert Annotator.objects.get(name="Ana").user.username == "ana"


def test_account_that_was_there_before_keeps_its_password(data, silent, capsys):
    User.objects.create_user("ana", password="somebody else's password")
    users = {user["name"]: user["password"] for user in run(capsys, tracks=40)["users"]}
    assert users["ana"] is None
    assert User.objects.get(username="ana").check_password("somebody else's password")


def test_answers_have_guidelines_strata_and_all_facets(data, silent, capsys):
    run(capsys, tracks=500)
    library = Library.objects.get(slug="demo")
    own = Annotation.objects.filter(library=library, kind="judgement")
    assert set(own.values_list("stratum", flat=True)) >= {"audit", "overlap", "explore"}
    assert set(own.values_list("guideline__number", flat=True)) == {1, 2}
    for facet in Facet.objects.filter(library=library):
        assert CurrentAnswer.objects.filter(facet=facet, answer__isnull=False).exists()
        assert not Label.objects.filter(facet=facet, definition="").exists()
    assert set(library.tracks.values_list("state", flat=True)) == {"pending", "no_audio"}
    keys = Label.objects.exclude(hotkey="").values_list("hotkey", flat=True)
    assert len(keys) == len(set(keys)) == 12
    audit = library.tracks.filter(is_audit=True)
    served = own.filter(stratum="audit").values_list("track_id", flat=True)
    assert set(served) <= set(audit.values_list("id", flat=True))
    assert rollups.measure(library)["keys"] == 0


def test_too_few_tracks_are_refused(data, silent):
    with pytest.raises(CommandError) as refused:
        call_command("demo_library", tracks=5)
    assert refused.value.returncode == 2
    assert not Library.objects.exists()


def test_training_runs_a_round_when_there_is_no_model(data, silent, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(demo_library, "get_commands", lambda: {"run_round": "workers"})
    monkeypatch.setattr(
        demo_library, "call_command", lambda name, **options: asked.append((name, options))
    )
    call_command("demo_library", tracks=40, train=True)
    ((name, options),) = asked
    assert (name, options["library"], options["inline"]) == ("run_round", "demo", True)
    assert "mia    manager" in capsys.readouterr().out


def test_plan_has_the_same_tracks_whenever_it_is_made():
    one, two = demo_data.plan_demo(200), demo_data.plan_demo(200)
    assert one.audible.keys == two.audible.keys
    assert (one.n_tracks, len(one.audible.keys), len(one.lengths_s)) == (200, 120, 120)
    assert min(one.lengths_s) >= 20
    assert max(one.lengths_s) <= 60
    assert one.audible.genres.any(axis=0).sum() >= 8


def test_answers_stay_within_the_two_years():
    plan = demo_data.plan_demo(400)
    keys = {
        demo_data.key_of(part, key): False
        for part, tracks in plan.parts()
        for key in tracks.keys
    }
    moments = [
        answer.answered_at for _, _, answer in demo_data.demo_answers_of(plan, keys, END)
    ]
    assert min(moments) >= END - demo_data.PERIOD
    assert max(moments) <= END
    assert max(moments) - min(moments) > timedelta(days=600)


def test_audio_is_real_and_made_once(tmp_path):
    import soundfile

    tracks = simulate_tracks(
        SimulationConfig(n_tracks=2, labels=(("Drone", 1.0), ("Techno", 1.0)), seed=1)
    )
    seen = []
    made = make_audio(tracks, (1.0, 1.5), tmp_path, 1, lambda *one: seen.append(one))
    assert (made, seen) == (2, [(1, 2), (2, 2)])
    lengths = [soundfile.info(tmp_path / key).duration for key in tracks.keys]
    assert lengths == pytest.approx([1.0, 1.5], abs=0.06)
    assert make_audio(tracks, (1.0, 1.5), tmp_path, 1, lambda *one: None) == 0


def test_mia_may_log_in(data, silent, capsys, rf):
    users = run(capsys, tracks=40)["users"]
    mia = next(user for user in users if user["name"] == "mia")
    found = authenticate(rf.post("/"), username="mia", password=mia["password"])
    assert found == User.objects.get(username="mia")
