"""Every command once, on the fixed library, an imported one and the demo."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.contracts import inside
from tests.contracts.commands import Runner, ended
from tests.contracts.stored import archive_of
from tests.contracts.world import Fixed, model, write_catalogue, write_sounds

FIXED = ("--library", "fixed")
#: What a snapshot may be asked to hold: each of these has a hash.
SELECTIONS: tuple[tuple[str, ...], ...] = (
    ("--min-support", "2"),
    ("--negatives", "closed", "--others", "fold", "--min-support", "5"),
    ("--negatives", "open", "--others", "drop", "--top-labels", "2"),
    ("--facet", "genre", "--annotators", "ann,ben", "--min-support", "1"),
    ("--since", "2025-01-10", "--until", "2025-02-20", "--min-support", "1"),
    ("--guideline", "2", "--annotator-kinds", "person", "--min-support", "1"),
    ("--source", "judgement", "--criteria", "current", "--min-support", "1"),
    ("--criteria", "legacy", "--min-support", "1"),
)
SHOP = ("--library", "shop")


def import_shop(run: Runner) -> dict[str, Any]:
    """Import a catalogue with two files into a library of fixed uid; return the first login."""
    login: dict[str, Any] = run.json(
        "create_user", "mia", *SHOP, "--role", "manager", "--token", "--admin"
    )
    model("Library").objects.filter(slug="shop").update(uid=UUID(int=7))
    write_catalogue(run.work / "catalogue.csv")
    write_sounds(run.work / "shop", 2)
    for old, new in (("00.wav", "a.wav"), ("01.wav", "b.wav")):
        (run.work / "shop" / old).rename(run.work / "shop" / new)
    how = (
        run.work / "catalogue.csv", *SHOP, "--audio", run.work / "shop", "--family", "Family",
        "--map", "feel=mood", "--split", "feel=;", "--annotator", "Old hand",
    )  # fmt: skip
    run.json("import_library", *how, "--dry-run", title="import_library --dry-run")
    run.json("import_library", *how, "--strict", title="import_library --strict")
    batch = run.json("import_library", *how, "--no-wait")["batch"]
    run.json("undo_import", batch, *SHOP, "--dry-run")
    run.json("import_library", *how[:2], "--library", "quiet", title="import_library, no audio")
    return login


def round_of_fixed(run: Runner) -> Fixed:
    """Make the fixed library and take it once around the loop, in this process."""
    write_sounds(run.work / "sounds")
    fixed = Fixed(run.work / "sounds")
    run.json("rebuild_current", *FIXED)
    run.json("extract_features", *FIXED, "--no-wait", title="extract_features --no-wait")
    model("Job").objects.filter(library=fixed.library).delete()
    run.json("extract_features", *FIXED, "--inline")
    name_shards(run.work.parent / "data" / "features")
    for more in SELECTIONS:
        run.json("take_snapshot", *FIXED, *more)
    run.json("run_round", *FIXED, "--inline", "--min-support", "2")
    trust_all_labels()
    return fixed


def trust_all_labels() -> None:
    """Let the models suggest every label: eight audit tracks are too few to show that."""
    for version in model("ModelVersion").objects.all():
        version.metrics["headline"]["intervals"]["skill"] = [0.1, 0.5]
        for row in version.metrics["labels"]:
            row["is_better"] = True
        version.save()


def name_shards(root: Path) -> None:
    """Give shards names that do not change from run to run, so that their hash does not."""
    rows = model("FeatureRow").objects.exclude(shard="").order_by("audio_id")
    for number, shard in enumerate(dict.fromkeys(rows.values_list("shard", flat=True))):
        fixed = f"shard-{number}"
        model("FeatureRow").objects.filter(shard=shard).update(shard=fixed)
        for path in root.rglob(f"{shard}.*"):
            path.rename(path.with_name(path.name.replace(shard, fixed)))


def rest_of_the_loop(run: Runner) -> None:
    """Run what is not a part of a round."""
    inline = (*FIXED, "--inline")
    fast = ("--epochs", "2", "--min-support", "2")
    run.json("train", *inline, *fast, "--annotators", "catalogue,ann", "--others", "fold")
    run.json("train", *inline, *fast, "--folds", "2", title="train --folds")
    run.json("train", *inline, *fast, "--criteria", "each", title="train --criteria each")
    run.json("predict", *inline)
    run.json("queue", *FIXED, "--count", "10")
    run.json("consistency", *FIXED)
    inside.measure_consistency("fixed")
    run.json("compare_networks", *inline, "--networks", "pooled-numpy,knn", "--folds", "2")
    for title, more in (("report", ()), ("report, comparison", ("--model", "2"))):
        out = run.work / title
        run.json("report", *FIXED, "--model", "1", *more, "--out", out, title=title)
        run.wrote(title, out)
    for form, more in (("long", ()), ("long", ("--history",)), ("wide", ()), ("consensus", ())):
        run.export("fixed", form, *more)
    run.export("shop", "wide")
    run.export("shop", "consensus", "--raw")


def people() -> dict[str, str]:
    """Make the manager of the shop one of the fixed library, and a person a role; tokens."""
    ended("create_user", "mia", *FIXED, "--role", "manager")
    tokens = {}
    for role in ("annotator", "curator", "manager"):
        out = io.StringIO()
        ended("create_user", role, *FIXED, "--role", role, "--token", "--json", out=out)
        tokens[role] = json.loads(out.getvalue())["token"]
    return tokens


def background(run: Runner) -> None:
    """Ask for work and leave it to a worker that is not there."""
    for command in ("predict", "run_round", "train"):
        run.json(command, *FIXED, "--no-wait", title=f"{command} --no-wait")
    how = ("--networks", "knn", "--no-wait")
    run.json("compare_networks", *FIXED, *how, title="compare_networks --no-wait")


def experiments(run: Runner) -> None:
    """Run what takes long: the demo, the study, recipes on a library."""
    with inside.quick():
        run.json("demo_library", "--tracks", "40")
        out = run.work / "recipes"
        run.json("seed_experiment", *FIXED, "--out", out)
        run.wrote("seed_experiment", out)
        out = run.work / "study"
        how = ("--out", out, "--tracks", "200", "--seeds", "1", "--parts", "recipes")
        run.json("study_in_small", *how)
        run.wrote("study_in_small", out)


def upkeep(run: Runner) -> None:
    """Look after the installation, back up, restore."""
    found = run.json("doctor", "--quick", title="doctor --quick")
    run.names["checks of doctor --quick"] = [check["name"] for check in found["checks"]]
    run.json("doctor", "--only", "python")
    run.json("prune", "--dry-run", title="prune --dry-run")
    run.json("prune", *FIXED)
    archive = run.work / "backup.tar"
    run.json("backup", archive)
    run.names["backup"] = archive_of(archive)
    run.json("restore", archive, title="restore, without --yes")
    run.json("restore", archive, "--yes")
