"""The data folder, which holds everything the program writes, and its secrets."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can read, with its parents, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def secret_from_file(path: Path) -> str:
    """Return the secret stored in `path`, created on first use (mode 600, race-free)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_secret(path)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    secret = path.read_text().strip()
    if not _is_secret(secret):
        raise ValueError(
            f"{path} holds no usable secret (shorter than 32 characters): delete the file and "
            "start again, or set AUDIOTAG_SECRET_KEY"
        )
    return secret


def checked_secret(secret: str) -> str:
    """Return the secret of the environment; refuse to start with one that can be guessed."""
    if secret and not _is_secret(secret):
        raise ValueError(
            "AUDIOTAG_SECRET_KEY is shorter than 32 characters or comes from an example: set "
            "50 random characters, or leave it out and one is made"
        )
    return secret


def _is_secret(secret: str) -> bool:
    return len(secret) >= 32 and not secret.startswith("django-insecure-")
