"""Store of trained models: weights as npz, the rest as JSON, one sha256 over both.

No pickle is written or read (`allow_pickle=False`); the code rebuilds the network by its name
in the registry. The caller keeps the checksum, which is compared before anything is parsed. A
model folder appears whole or not at all: it is written under another name and then renamed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import MlError
from ml.files import sync_folder, write_durably

WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"

Arrays = dict[str, npt.NDArray[Any]]


class ModelFileError(MlError):
    """A model's files are missing, damaged or not those that were registered."""


@dataclass(frozen=True)
class SavedModel:
    """Facts about a model that was written.

    Attributes
    ----------
    folder : of the model. files : names in it.
    sha256 : over all files, 64 hexadecimal characters. size_bytes : of all files together.
    """

    folder: Path
    files: tuple[str, ...]
    sha256: str
    size_bytes: int


def write_model(folder: Path, arrays: Arrays, facts: dict[str, Any]) -> SavedModel:
    """Write a model as a folder; it replaces an earlier one.

    A process killed at any moment leaves the old folder, the new one, or none, never a part of
    one. The names of the temporary folders that it may leave begin with a dot.

    Parameters
    ----------
    folder : of the model. arrays : by name. facts : JSON values without NaN.

    Returns
    -------
    SavedModel : with the checksum to register.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    text = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False) + "\n"
    contents = {WEIGHTS_FILE: buffer.getvalue(), MODEL_FILE: text.encode()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    fresh = folder.with_name(f".{folder.name}.{mark}.new")
    fresh.mkdir()
    try:
        for name, content in contents.items():
            write_durably(fresh / name, content)
        sync_folder(fresh)
        _put_in_place(fresh, folder, folder.with_name(f".{folder.name}.{mark}.old"))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return SavedModel(
        folder=folder,
        files=tuple(contents),
        sha256=_digest(contents),
        size_bytes=sum(len(content) for content in contents.values()),
    )


def read_model(folder: Path, expected_sha256: str) -> tuple[Arrays, dict[str, Any]]:
    """Read a model that `write_model` wrote.

    Parameters
    ----------
    folder : of the model. expected_sha256 : compared before anything is parsed.

    Returns
    -------
    tuple of arrays and facts : as they were written.

    Raises
    ------
    ModelFileError : a file is missing, the checksum differs, or the content is not a model.
    """
    try:
        contents = {name: (folder / name).read_bytes() for name in (WEIGHTS_FILE, MODEL_FILE)}
    except OSError as error:
        raise ModelFileError(f"a file of the model is missing: {error}") from error
    found = _digest(contents)
    if found != expected_sha256:
        raise ModelFileError(
            f"the files of model {folder.name} are not those that were registered "
            f"(sha256 {found[:12]}…, expected {expected_sha256[:12]}…); restore the folder "
            "from a backup or train again"
        )
    try:
        with np.load(io.BytesIO(contents[WEIGHTS_FILE]), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts: dict[str, Any] = json.loads(contents[MODEL_FILE])
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"{folder.name} does not hold a model: {error}; restore it from a backup or train "
            "again"
        ) from error
    return arrays, facts


def _put_in_place(fresh: Path, folder: Path, aside: Path) -> None:
    """Rename `fresh` to `folder`; an older folder is moved aside first, then removed."""
    if folder.exists():
        os.rename(folder, aside)
    os.rename(fresh, folder)
    sync_folder(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _digest(contents: dict[str, bytes]) -> str:
    """Return the sha256 over the sha256 of each file, so that no byte moves between files."""
    whole = hashlib.sha256()
    for content in contents.values():
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
