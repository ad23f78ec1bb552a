"""Durable files: written completely or not at all.

Standard library only; used by both halves.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def fresh_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets the name `path` once the block has written all of it.

    A process killed at any moment leaves the old file, the new one, or an extra file whose name
    starts with a dot and ends with `.new`. An error in the block leaves the old file.

    Parameters
    ----------
    path : the final name; its folder must exist.

    Yields
    ------
    BinaryIO : the file to write to.

    Raises
    ------
    OSError : the folder is missing or cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.bin"
    >>> with fresh_file(path) as file:
    ...     _ = file.write(b"12")
    >>> path.read_bytes()
    b'12'
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.new")
    try:
        with fresh.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def atomic_write(path: Path, content: bytes) -> str:
    """Write a file durably under its name in one step, with the folders above it.

    Parameters
    ----------
    path : the file; an earlier one of this name is replaced.
    content : all bytes of the file.

    Returns
    -------
    str : the sha256 of the content, in hexadecimal digits.

    Raises
    ------
    OSError : the folder cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> atomic_write(Path(tempfile.mkdtemp()) / "new" / "empty.txt", b"")[:8]
    'e3b0c442'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with fresh_file(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk.

    Parameters
    ----------
    path : the file; it must not exist.
    content : all bytes of the file.

    Raises
    ------
    FileExistsError : there is a file of this name.
    """
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Parameters
    ----------
    folder : an existing folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, read in blocks.

    Parameters
    ----------
    path : an existing file of any size.

    Returns
    -------
    str : 64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
