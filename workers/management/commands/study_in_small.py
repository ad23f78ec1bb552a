"""Run the study in the small: simulated libraries, the study's recipe, and an ablation."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from labeling.errors import BadInput
from labeling.management.base import AudiotagCommand
from ml.study.design import StudyDesign
from ml.study.files import write_report
from ml.study.runner import Watcher, run_trials
from ml.study.store import StoredRun
from ml.study.study_report import study_blocks, study_story
from ml.study.text import choices_section
from ml.study.trials import PARTS, USUAL_PARTS, trials


class Command(AudiotagCommand):
    help = (
        "Simulate the study's library and run its recipe, its author's next one and ours on "
        "it. What is done already is not done again: stop it and start it as you like."
    )
    needs_library = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--out", required=True, metavar="DIR", type=Path)
        parser.add_argument("--parts", default=",".join(USUAL_PARTS), metavar="A,B")
        parser.add_argument("--seeds", type=int, default=3, metavar="N")
        parser.add_argument("--tracks", type=int, default=0, metavar="N", help="default: 1500")
        parser.add_argument("--epochs", type=int, default=0, metavar="N", help="default: 50")

    def answer(self, **options: Any) -> dict[str, Any]:
        parts, design = _checked(options)
        root: Path = options["out"]
        runs: list[StoredRun] = []
        for seed in range(options["seeds"]):
            for part in parts:
                self.say(f"seed {seed}, {part} ...")
                watcher = Watcher(on_run=self._tell_run)
                found = trials(part, seed, design, options["epochs"])
                runs += run_trials(found, seed, root, watcher)
        story = study_story(runs, design)
        said = choices_section(story["recipes"], story["ablation"])
        files = write_report(root, story, [*study_blocks(story), *said], runs)
        return {"out": str(root), "runs": len(runs), "files": [path.name for path in files]}

    def _tell_run(self, run: StoredRun, is_kept: bool) -> None:
        if run.error:
            self.say(f"  {run.name}: failed: {run.error}")
        else:
            took = "was there" if is_kept else f"{run.facts['seconds']:.0f} s"
            self.say(f"  {run.name}: {took}, {json.dumps(run.facts['n_tracks'])} tracks")


def _checked(options: dict[str, Any]) -> tuple[list[str], StudyDesign]:
    """Return the parts and the design, or refuse before anything is written."""
    parts = [part for part in options["parts"].split(",") if part]
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise BadInput(f"--parts must be of {', '.join(PARTS)}, not {', '.join(unknown)!r}")
    if options["seeds"] < 1 or options["tracks"] < 0 or options["epochs"] < 0:
        raise BadInput("--seeds must be at least 1, --tracks and --epochs at least 0")
    if 0 < options["tracks"] < 200:
        raise BadInput("--tracks must be at least 200: fewer have no rare genres")
    design = StudyDesign()
    return parts, replace(design, n_tracks=options["tracks"] or design.n_tracks)
