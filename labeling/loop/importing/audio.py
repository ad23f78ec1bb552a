"""Audio files of a catalogue, found inside their folder and nowhere else."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db.models import Exists, OuterRef

from labeling.errors import BadInput
from labeling.loop.importing.csv.rows import KEY_BYTES_LIMIT, KEY_LIMIT
from labeling.models import AudioFile, AudioRoot, FeatureRow, Library, Track

State = Track.State


@dataclass(frozen=True)
class FoundFile:
    """A file of the folder: its path, size and modification time; or why there is none."""

    relative_path: str = ""
    size_bytes: int = 0
    modified_at: float = 0.0
    reason: str = ""


@dataclass
class AudioFolder:
    """A folder of audio; finds files by the key of their track."""

    path: Path
    _listed: dict[Path, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def at(cls, path: str) -> AudioFolder:
        """Open a folder, or refuse with the reason."""
        try:
            real = Path(path).expanduser().resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise BadInput(f"there is no audio folder {path!r}") from None
        if not real.is_dir():
            raise BadInput(
                f"{path!r} is not a folder: give the folder that the file names start in"
            )
        return cls(real)

    def find(self, key: str) -> FoundFile:
        """Find the file of a key: as written, or under another Unicode form of its name."""
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts or ":" in parts[0]:
            return FoundFile(reason="the file name leads out of the audio folder")
        try:
            return self._stat(parts)
        except (OSError, ValueError, RuntimeError) as error:  # a loop of links
            said = getattr(error, "strerror", None) or str(error)
            return FoundFile(reason=f"the file cannot be opened: {said}"[:300])

    def _stat(self, parts: tuple[str, ...]) -> FoundFile:
        path = self.path.joinpath(*parts)
        if not os.path.lexists(path):
            other = self._other_form(parts)
            if other is None:
                return FoundFile(reason="there is no such file in the audio folder")
            path = other
        if not path.resolve().is_relative_to(self.path):
            return FoundFile(reason="the file is a link that leads out of the audio folder")
        if not path.is_file():
            return FoundFile(reason="there is no such file in the audio folder")
        status = path.stat()
        inside = path.relative_to(self.path).as_posix()
        if len(inside) > KEY_LIMIT or len(inside.encode(errors="replace")) > KEY_BYTES_LIMIT:
            return FoundFile(reason="the path of the file is too long as it is on disk")
        return FoundFile(inside, status.st_size, status.st_mtime)

    def _other_form(self, parts: tuple[str, ...]) -> Path | None:
        """Resolve the path by the names on disk, which macOS writes decomposed."""
        here = self.path
        for part in parts:
            name = self._names(here).get(unicodedata.normalize("NFC", part))
            if name is None:
                return None
            here = here / name
        return here

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._listed:
            names = os.listdir(folder) if folder.is_dir() else []
            self._listed[folder] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._listed[folder]


def known_roots(library: Library) -> dict[str, str]:
    """Return the audio folders that the page offers: name -> path.

    These are the folders of the settings and those of this library's tracks. The folders of
    another library are not offered to its managers.
    """
    own = AudioRoot.objects.filter(
        Exists(Track.objects.filter(library=library, audio__root=OuterRef("pk")))
    )
    return dict(own.values_list("name", "path")) | dict(settings.AUDIO_ROOTS)


def register_files(folder: AudioFolder, library: Library) -> AudioRoot:
    """Return the row of a folder, named as in the settings, or else like the library."""
    path = str(folder.path)
    there = AudioRoot.objects.filter(path=path).first()
    if there is not None:
        return there
    for name, known in settings.AUDIO_ROOTS.items():
        if str(Path(known).expanduser().resolve()) == path:
            return _named(name, path)
    return _named(library.slug, path)


def _named(name: str, path: str) -> AudioRoot:
    suffix = 1
    while True:
        free = name[:50] if suffix == 1 else f"{name[:50]}-{suffix}"
        root, _ = AudioRoot.objects.get_or_create(name=free, defaults={"path": path})
        if root.path == path:
            return root
        suffix += 1


def file_rows(root: AudioRoot, found: Iterable[FoundFile]) -> tuple[dict[str, int], set[int]]:
    """Create or update the rows of files; return path -> id, and the ids of changed files.

    A file with another size or time may be another recording, so all its tracks wait for the
    probe again. Its features stay until the probe finds different content; features of a file
    that was never probed are removed here, because the probe could not compare them.
    """
    wanted = {one.relative_path: one for one in found if not one.reason}
    rows = {
        row.relative_path: row
        for row in AudioFile.objects.filter(root=root, relative_path__in=wanted)
    }
    changed = []
    for path, row in rows.items():
        now = wanted[path]
        if (row.size_bytes, row.modified_at) != (now.size_bytes, now.modified_at):
            row.size_bytes, row.modified_at = now.size_bytes, now.modified_at
            row.probed_at = None
            row.save(update_fields=["size_bytes", "modified_at", "probed_at"])
            changed.append(row.pk)
    FeatureRow.objects.filter(audio_id__in=changed, audio__sha256="").delete()
    Track.objects.in_use().filter(audio_id__in=changed).update(
        state=State.PENDING, state_reason=""
    )
    new = [
        AudioFile(
            root=root,
            relative_path=path,
            size_bytes=one.size_bytes,
            modified_at=one.modified_at,
        )
        for path, one in sorted(wanted.items())
        if path not in rows
    ]
    # Another library's import may find the same files at the same moment.
    AudioFile.objects.bulk_create(new, batch_size=200, ignore_conflicts=True)
    created = dict(
        AudioFile.objects.filter(
            root=root, relative_path__in=[row.relative_path for row in new]
        ).values_list("relative_path", "id")
    )
    ids = {path: row.pk for path, row in rows.items()} | created
    return ids, {*changed, *created.values()}
