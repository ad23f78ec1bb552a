"""Run the study's recipes on your own library and report the results."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labeling.errors import BadInput
from labeling.loop import features
from labeling.loop.registry import recipes
from labeling.models import Library
from labeling.models.jobs import JobKind
from ml.study.files import write_report
from ml.study.library_report import library_blocks, library_story
from ml.study.runner import Watcher, run_trials
from ml.study.store import StoredRun, read_run
from ml.training.recipes import RECIPES, Recipe
from workers.management.chain import ChainCommand
from workers.stages.experimenting import PART, LibraryTrial


class Command(ChainCommand):
    help = (
        "Run the study's recipe, its author's next one and ours on one library, all in this "
        "process, and write one report. Finished runs are not repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--out", required=True, type=Path, metavar="DIR")
        parser.add_argument(
            "--recipes", default=",".join(RECIPES), metavar="A,B", help="default: all"
        )
        parser.add_argument("--seeds", type=int, default=1, metavar="N")

    def answer(self, **options: Any) -> dict[str, Any]:
        # A report into a folder of this machine: it is all done here, whoever else is there.
        options |= {"inline": True, "no_wait": False}
        library = self.library(options["library"])
        chosen = _checked(library, options)
        self._complete_features(library, chosen, options)
        trials = [LibraryTrial(library, recipe) for recipe in chosen]
        root: Path = options["out"]
        for seed in range(options["seeds"]):
            self.say(f"seed {seed} ...")
            run_trials(trials, seed, root, Watcher(on_run=self._tell_run))
        runs = [
            run
            for recipe in chosen
            for seed in range(options["seeds"])
            if (run := read_run(root, PART, recipe.name, seed)) is not None
        ]
        story = library_story(runs, library.slug)
        files = write_report(root, story, library_blocks(story), runs)
        return {
            "out": str(root),
            "files": [path.name for path in files],
            "recipes": [_row(one) for one in story[PART]["runs"]],
        }

    def _complete_features(
        self, library: Library, chosen: Sequence[Recipe], options: dict[str, Any]
    ) -> None:
        """Extract missing features of the recipes."""
        for name in sorted({recipe.training.features for recipe in chosen}):
            steps = [JobKind.PROBE] if features.has_pending_probe(library) else []
            missing = features.has_missing_features(library, features.feature_set_of(name))
            if steps or missing:
                self.do_chain(library, options, [*steps, JobKind.FEATURES], {"features": name})

    def _tell_run(self, run: StoredRun, is_kept: bool) -> None:
        if run.error:
            self.say(f"  {run.name}: {run.error}")
        else:
            took = "was there" if is_kept else f"{run.facts['seconds']:.0f} s"
            self.say(f"  {run.name}: {took}, {run.facts['n_tracks']} tracks")


def _checked(library: Library, options: dict[str, Any]) -> list[Recipe]:
    """Return the recipes, or refuse before anything is written."""
    names = [name.strip() for name in options["recipes"].split(",") if name.strip()]
    if not names:
        raise BadInput(f"--recipes names none; known: {', '.join(RECIPES)}")
    chosen = [recipes.find_recipe(name) for name in dict.fromkeys(names)]
    if options["seeds"] < 1:
        raise BadInput("--seeds must be at least 1")
    if options["out"].exists() and not options["out"].is_dir():
        raise BadInput(f"{options['out']} is a file; --out names a folder")
    if not features.has_audio(library):
        raise BadInput(f"no track of {library.slug} has audio to learn from")
    return chosen


def _row(told: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's headline figures; null where it did not run."""
    side = told["held_out"]
    figures = side["figures"] if side else {}
    return {
        "recipe": told["name"],
        "verdicts": side["verdicts"] if side else [],
        "errors": told["errors"],
        **{
            name: figures[name]["mean"] if figures else None
            for name in ("macro_ap", "bce_skill", "macro_f1", "binary_accuracy")
        },
    }
