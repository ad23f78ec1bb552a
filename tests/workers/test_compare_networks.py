"""Networks with features of their own, from sound files to a table, in this process."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile
from django.core.management import CommandError, call_command

from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.loop.registry import recipes
from labeling.models import FeatureRow, Library
from labeling.models.jobs import JobKind
from tests.planted_library import plant
from workers.management.commands.compare_networks import BEGIN, END
from workers.stages import preparing

pytestmark = pytest.mark.django_db
RATE_HZ = 44_100


def call(command, *arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command(command, *arguments, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


@pytest.fixture
def library(tmp_path):
    """Sixteen sounds in eight families: tones, noises, and both."""
    rng, t = np.random.default_rng(0), np.arange(RATE_HZ) / RATE_HZ
    rows = []
    for number in range(16):
        words = (["Tone"], ["Noise"], ["Tone", "Noise"], ["Tone"])[number % 4]
        sound = 0.001 * rng.standard_normal(RATE_HZ)
        if "Tone" in words:
            sound += 0.2 * np.sin(2 * np.pi * rng.uniform(200, 800) * t)
        if "Noise" in words:
            sound += 0.1 * rng.standard_normal(RATE_HZ)
        soundfile.write(tmp_path / f"{number}.wav", sound, RATE_HZ)
        rows.append([f"{number}.wav", f"f{number // 2}", *words, *[""] * (2 - len(words))])
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["filename", "family", "sound1", "sound2"], *rows])
    call(
        "import_library",
        str(tmp_path / "labels.csv"),
        *("--library", "sounds", "--audio", str(tmp_path), "--family", "family"),
        *("--map", "sound1=mood", "--map", "sound2=mood", "--no-wait"),
    )
    return Library.objects.get(slug="sounds")


def feature_names():
    done = FeatureRow.objects.filter(state=FeatureRow.State.DONE)
    return set(done.values_list("feature_set__name", flat=True))


def test_a_network_gets_the_features_that_it_is_made_for(library):
    arguments = ("--library", "sounds", "--network", "knn", "--folds", "2", "--inline")
    answer, _ = call("train", *arguments)
    assert feature_names() == {"timbral"}
    assert answer["metrics"]["n"] == 16
    assert answer["metrics"]["macro_ap"] > 0.9
    again, _ = call("train", *arguments)
    assert again["metrics"]["macro_ap"] == answer["metrics"]["macro_ap"]


def test_several_networks_stand_in_one_table(library, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n{BEGIN}\nyesterday\n{END}\nThe end.\n")
    answer, _ = call(
        "compare_networks",
        *("--library", "sounds", "--networks", "knn,pooled-numpy", "--folds", "2"),
        *("--inline", "--out", str(page)),
    )
    assert feature_names() == {"timbral", "audiotag"}
    knn, pooled = answer["networks"]
    assert (knn["network"], knn["features"]) == ("knn", "timbral")
    assert (pooled["network"], pooled["features"]) == ("pooled-numpy", "audiotag")
    assert knn["differences"]["knn"]["difference"] is None
    less = pooled["differences"]["knn"]["difference"]
    assert less == pytest.approx(pooled["macro_ap"] - knn["macro_ap"])
    assert {row["n"] for row in answer["networks"]} == {16}
    text = page.read_text()
    assert text.startswith(f"# Mine\n{BEGIN}\n16 tracks, ")
    assert text.endswith(f"{END}\nThe end.\n")
    assert "yesterday" not in text
    assert text.count("\n| `") == 2


def test_without_a_worker_it_says_what_waits(library):
    answer, told = call("compare_networks", "--library", "sounds", "--no-wait")
    assert answer["networks"] is None
    assert len(answer["pending_jobs"]) == 1
    assert "run this command again" in told


@pytest.mark.parametrize(
    "wrong",
    [
        ("--networks", "knn,deep"),
        ("--networks", "knn", "--references", "knn,gmm"),
        ("--folds", "1"),
        ("--seed", "-1"),
        ("--snapshot", "9"),
        ("--out", "/no/such/folder/table.md"),
    ],
)
def test_it_refuses_what_cannot_be(wrong):
    planted = plant(12, 2)
    with pytest.raises(CommandError) as refused:
        call("compare_networks", "--library", planted.library.slug, "--inline", *wrong)
    assert refused.value.returncode == 2


def test_too_many_folds_are_refused():
    planted = plant(12, 2)
    with pytest.raises(CommandError, match="folds"):
        call(
            "compare_networks",
            *("--library", planted.library.slug, "--networks", "pooled-numpy"),
            *("--folds", "99", "--inline"),
        )


def test_a_library_whose_network_has_features_of_its_own_turns_on_these():
    library = plant(12, 2).library
    assert recipes.features_name_for(library) == "audiotag"
    assert retraining.next_missing(library) == JobKind.TRAIN
    library.network = "gmm"
    library.save()
    assert recipes.training_config_of(library, {}).features == "timbral"
    assert recipes.training_config_of(library, {"features": "seed-1s"}).features == "seed-1s"
    assert retraining.next_missing(library) == JobKind.FEATURES
    job = retraining.request_training(library, "asked for")
    assert job.kind == JobKind.FEATURES
    assert job.arguments["features"] == "timbral"


def test_missing_features_are_named_with_the_command_that_makes_them():
    library = plant(12, 2).library
    with pytest.raises(BadInput, match=f"extract_features --library {library.slug} "
                       "--features timbral"):  # fmt: skip
        preparing.prepare(library, {"network": "knn"})
