"""Store of an experiment's runs on disk, so that no run is done twice. Numpy only.

Stage: study. One folder a run holds its records (`ml.evaluation.record`) and `run.json`, which
is written last, with their checksums. A folder without `run.json` was left by a killed process;
that run is done again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.errors import MlError
from ml.evaluation.record import EvaluationRecord, read_record, write_record
from ml.files import atomic_write

RUN_FILE = "run.json"
_HELD_OUT, _VALIDATION = "held_out.npz", "validation.npz"
FORMAT = 1


class ExperimentFileError(MlError):
    """A file of an experiment is damaged or of another version."""


@dataclass(frozen=True)
class StoredRun:
    """One stored run.

    Attributes
    ----------
    part, name, title, seed : of the run.
    key : digest of everything that determines the outcome; another key is another run.
    held_out : record of the held-out tracks; None if the run failed.
    validation : record of its own validation set; None without one.
    error : why it failed, as a sentence; empty if it did not.
    facts : seconds, n_tracks, versions and any other JSON values.
    """

    part: str
    name: str
    title: str
    seed: int
    key: str
    held_out: EvaluationRecord | None = None
    validation: EvaluationRecord | None = None
    error: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def folder_of(root: Path, part: str, name: str, seed: int) -> Path:
    """Return the folder of a run.

    Parameters
    ----------
    root : folder of the experiment. part, name, seed : of the run.

    Returns
    -------
    Path : below `root`; it need not exist.
    """
    return root / "runs" / part / name / f"seed-{seed}"


def write_run(root: Path, run: StoredRun) -> None:
    """Write a run; `run.json` is written last, so that a folder with it is complete.

    Parameters
    ----------
    root : folder of the experiment. run : to write.
    """
    folder = folder_of(root, run.part, run.name, run.seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_FILE).unlink(missing_ok=True)
    checksums = {
        name: write_record(folder / name, record).sha256
        for name, record in ((_HELD_OUT, run.held_out), (_VALIDATION, run.validation))
        if record is not None
    }
    facts = {
        "format": FORMAT,
        "part": run.part,
        "name": run.name,
        "title": run.title,
        "seed": run.seed,
        "key": run.key,
        "error": run.error,
        "facts": run.facts,
        "sha256": checksums,
    }
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    atomic_write(folder / RUN_FILE, text.encode())


def read_run(root: Path, part: str, name: str, seed: int, key: str = "") -> StoredRun | None:
    """Read a run.

    Parameters
    ----------
    root : folder of the experiment. part, name, seed : of the run.
    key : that the run must have; empty accepts any.

    Returns
    -------
    StoredRun or None : None if it is missing, incomplete, or has another key or format.

    Raises
    ------
    ExperimentFileError, RecordFileError : its files were changed since they were written.
    """
    folder = folder_of(root, part, name, seed)
    try:
        text = (folder / RUN_FILE).read_text()
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(text)
        if facts["format"] != FORMAT:
            return None
        checksums = facts["sha256"]
        found = StoredRun(
            **{name: facts[name] for name in ("part", "name", "title", "seed", "key")},
            error=facts["error"],
            facts=facts["facts"],
            held_out=_record(folder / _HELD_OUT, checksums),
            validation=_record(folder / _VALIDATION, checksums),
        )
    except (ValueError, KeyError, TypeError) as error:
        message = (
            f"{folder / RUN_FILE} cannot be read ({error}): remove the folder and run it again"
        )
        raise ExperimentFileError(message) from error
    return found if key in ("", found.key) else None


def read_runs(root: Path) -> list[StoredRun]:
    """Read all complete runs of an experiment.

    Parameters
    ----------
    root : folder of the experiment.

    Returns
    -------
    list of StoredRun : by part, name and seed.
    """
    found = []
    for path in sorted(root.glob(f"runs/*/*/seed-*/{RUN_FILE}")):
        part, name, seed = path.parts[-4:-1]
        run = read_run(root, part, name, int(seed.removeprefix("seed-")))
        if run is not None:
            found.append(run)
    return found


def _record(path: Path, checksums: dict[str, str]) -> EvaluationRecord | None:
    return read_record(path, checksums[path.name]) if path.name in checksums else None
