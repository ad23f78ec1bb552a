"""Store of an experiment's runs on disk, so that no run is done twice. Numpy only.

Stage: study. One folder a run holds the record of its held-out tracks (`ml.study.compact`), the
resampled metrics of its validation set, and `run.json` with the other metrics of that set and
the checksums. `run.json` is written last. A folder without it was left by a killed process;
that run is done again.

In format 1 both records were stored whole. `read_runs` reads it too, and `rewrite_runs` makes
its runs small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.errors import MlError
from ml.evaluation.record import EvaluationRecord, checked_content, read_record
from ml.files import atomic_write
from ml.study import compact
from ml.study.side import SideFigures, side_figures

RUN_FILE = "run.json"
_HELD_OUT, _DRAWS = "held_out.npz.xz", "validation_draws.npz.xz"
FORMAT = 2
#: The format with whole records, and its files.
_WHOLE = 1
_WHOLE_HELD_OUT, _WHOLE_VALIDATION = "held_out.npz", "validation.npz"


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
    validation : metrics of its own validation set; None without one.
    error : why it failed, as a sentence; empty if it did not.
    facts : seconds, n_tracks, versions and any other JSON values.
    """

    part: str
    name: str
    title: str
    seed: int
    key: str
    held_out: EvaluationRecord | None = None
    validation: SideFigures | None = None
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

    The files of an earlier format are removed after that: a run takes hours.

    Parameters
    ----------
    root : folder of the experiment. run : to write.
    """
    folder = folder_of(root, run.part, run.name, run.seed)
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {}
    if run.held_out is not None:
        contents[_HELD_OUT] = compact.to_bytes(run.held_out)
    if run.validation is not None:
        contents[_DRAWS] = run.validation.draws_to_bytes()
    earlier = [folder / name for name in (_WHOLE_HELD_OUT, _WHOLE_VALIDATION)]
    if not any(file.exists() for file in earlier):
        (folder / RUN_FILE).unlink(missing_ok=True)
    facts = {
        "format": FORMAT,
        "part": run.part,
        "name": run.name,
        "title": run.title,
        "seed": run.seed,
        "key": run.key,
        "error": run.error,
        "facts": run.facts,
        "validation": None if run.validation is None else run.validation.to_json(),
        "sha256": {
            name: atomic_write(folder / name, content) for name, content in contents.items()
        },
    }
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    atomic_write(folder / RUN_FILE, text.encode())
    unused = [folder / name for name in (_HELD_OUT, _DRAWS) if name not in contents]
    for file in (*earlier, *unused):
        file.unlink(missing_ok=True)


def rewrite_runs(root: Path) -> int:
    """Write the runs of earlier formats in the current one.

    Parameters
    ----------
    root : folder of the experiment.

    Returns
    -------
    int : number of runs written.
    """
    old = [run for run, number in _all(root) if number != FORMAT]
    for run in old:
        write_run(root, run)
    return len(old)


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
    found = _read(folder_of(root, part, name, seed))
    return found[0] if found is not None and key in ("", found[0].key) else None


def read_runs(root: Path) -> list[StoredRun]:
    """Read all complete runs of an experiment.

    Parameters
    ----------
    root : folder of the experiment.

    Returns
    -------
    list of StoredRun : by part, name and seed.
    """
    return [run for run, _ in _all(root)]


def _all(root: Path) -> list[tuple[StoredRun, int]]:
    paths = sorted(root.glob(f"runs/*/*/seed-*/{RUN_FILE}"))
    return [found for path in paths if (found := _read(path.parent)) is not None]


def _read(folder: Path) -> tuple[StoredRun, int] | None:
    """Return a run and its format; None if it is missing or of an unknown format."""
    try:
        text = (folder / RUN_FILE).read_text()
    except FileNotFoundError:
        return None
    try:
        facts = json.loads(text)
        if facts["format"] not in (_WHOLE, FORMAT):
            return None
        found = StoredRun(
            **{name: facts[name] for name in ("part", "name", "title", "seed", "key")},
            error=facts["error"],
            facts=facts["facts"],
            held_out=_held_out(folder, facts),
            validation=_validation(folder, facts),
        )
    except (ValueError, KeyError, TypeError) as error:
        message = (
            f"{folder / RUN_FILE} cannot be read ({error}): remove the folder and run it again"
        )
        raise ExperimentFileError(message) from error
    return found, facts["format"]


def _held_out(folder: Path, facts: dict[str, Any]) -> EvaluationRecord | None:
    checksums = facts["sha256"]
    if facts["format"] == _WHOLE:
        return _whole_record(folder / _WHOLE_HELD_OUT, checksums)
    if _HELD_OUT not in checksums:
        return None
    return compact.read_compact(folder / _HELD_OUT, checksums[_HELD_OUT])


def _validation(folder: Path, facts: dict[str, Any]) -> SideFigures | None:
    checksums = facts["sha256"]
    if facts["format"] == _WHOLE:
        record = _whole_record(folder / _WHOLE_VALIDATION, checksums)
        return None if record is None else side_figures(record)
    if facts["validation"] is None:
        return None
    draws = checked_content(folder / _DRAWS, checksums[_DRAWS])
    return SideFigures.from_stored(facts["validation"], draws)


def _whole_record(path: Path, checksums: dict[str, str]) -> EvaluationRecord | None:
    return read_record(path, checksums[path.name]) if path.name in checksums else None
