"""Audio files of a catalogue, found inside their folder and nowhere else."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from labeling.errors import BadInput
from labeling.loop.importing.csv.rows import KEY_BYTES_LIMIT, KEY_LIMIT
from labeling.models import AudioFile, AudioRoot, FeatureRow, Library, Track
from labeling.names import name_key, tidy_name, track_key

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
    given: str = ""
    _listed: dict[Path, dict[str, list[str]]] = field(default_factory=dict)

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
        return cls(real, os.path.abspath(os.path.expanduser(path)))

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of the folder, as it is and as it was given (perhaps through a link)."""
        return tuple(dict.fromkeys((str(self.path), self.given or str(self.path))))

    def find(self, key: str, written: Sequence[str] = ()) -> FoundFile:
        """Find the file of a key: as written, or else under a name that differs only in form.

        Parameters
        ----------
        key : of the track. written : the file name as the catalogue has it; none for the key.

        The name that is closest counts: the same, another Unicode form, other blanks and
        invisible characters, other capitals. If several are as close, the reason names them.
        """
        key = relative_key(key, self.paths)
        problem = _leads_out(key)
        if problem:
            return FoundFile(reason=problem)
        try:
            exact = {path for path in map(self._exact, written or (key,)) if path is not None}
            near = sorted(exact) or self._near(PurePosixPath(key).parts)
            if len(near) > 1:
                names = " and ".join(_shown(one.relative_to(self.path)) for one in near[:3])
                return FoundFile(reason=f"several files fit and none exactly: {names}"[:300])
            return self._stat(near[0]) if near else FoundFile(reason=_NO_FILE)
        except (OSError, ValueError, RuntimeError) as error:  # a loop of links
            said = getattr(error, "strerror", None) or str(error)
            return FoundFile(reason=f"the file cannot be opened: {said}"[:300])

    def _exact(self, written: str) -> Path | None:
        """Return the path of exactly this name, if there is something."""
        path = self.path / written
        is_inside = not written.startswith("/") and ".." not in PurePosixPath(written).parts
        return path if is_inside and "\0" not in written and os.path.lexists(path) else None

    def _stat(self, path: Path) -> FoundFile:
        if not path.resolve().is_relative_to(self.path):
            return FoundFile(reason="the file is a link that leads out of the audio folder")
        if not path.is_file():
            return FoundFile(reason=_NO_FILE)
        status = path.stat()
        inside = path.relative_to(self.path).as_posix()
        if len(inside) > KEY_LIMIT or len(inside.encode(errors="replace")) > KEY_BYTES_LIMIT:
            return FoundFile(reason="the path of the file is too long as it is on disk")
        return FoundFile(inside, status.st_size, status.st_mtime)

    def _near(self, parts: tuple[str, ...]) -> list[Path]:
        """Return the paths whose names on disk are closest to these, step by step."""
        found = [(0, self.path)]
        for number, part in enumerate(parts):
            found = [
                (max(distance, further), folder / name)
                for distance, folder in found[:_NEAR_TRIED]
                for further, name in self._like(folder, part)
            ]
            if number < len(parts) - 1:
                found = [(distance, path) for distance, path in found if path.is_dir()]
        files = [(distance, path) for distance, path in found if not path.is_dir()]
        closest = min((distance for distance, _ in files), default=0)
        return sorted(path for distance, path in files if distance == closest)

    def _like(self, folder: Path, part: str) -> list[tuple[int, str]]:
        """Return the names in a folder that differ from this one in form only."""
        if folder not in self._listed:
            listed: dict[str, list[str]] = {}
            for name in os.listdir(folder) if folder.is_dir() else []:
                listed.setdefault(name_key(name), []).append(name)
            self._listed[folder] = listed
        names = self._listed[folder].get(name_key(part), [])
        found = ((_distance(name, part), name) for name in names)
        return [(distance, name) for distance, name in found if distance is not None]


_NO_FILE = "there is no such file in the audio folder"
#: Folders that differ only in form and are searched for one file.
_NEAR_TRIED = 20
#: The address of a file, as music players export it, after `track_key`.
_ADDRESS = re.compile(r"file:(?:/localhost)?(/.+)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:(/|$)")


def _distance(name: str, wanted: str) -> int | None:
    """Return how far a name on disk is from the wanted one; None if it is another name.

    Other width is another name: `x².mp3` is not `x2.mp3`.
    """
    if name == wanted:
        return 0
    if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", wanted):
        return 1
    name, wanted = tidy_name(name), tidy_name(wanted)
    if name == wanted:
        return 2
    return 3 if name.casefold() == wanted.casefold() else None


def _leads_out(key: str) -> str:
    """Return why no file of the folder can have this key; "" if one can."""
    steps = PurePosixPath(key).parts
    if not steps or ".." in steps:
        return "the file name leads out of the audio folder"
    if key.startswith("/") or _DRIVE.match(key) or steps[0].casefold() == "file:":
        return (
            "the file name leads out of the audio folder: write it as it is inside the folder, "
            f"without {steps[0]}"
        )
    return ""


def relative_key(key: str, folders: Iterable[str]) -> str:
    """Return a key as a path inside the first of these folders that it is in."""
    address = _ADDRESS.fullmatch(key)
    if address:
        inside = relative_key(track_key(unquote(address[1])), folders)
        return key if inside.startswith("/") else inside
    if key.startswith("/"):
        for folder in folders:
            start = track_key(folder).rstrip("/") + "/"
            if key.startswith(start) and len(key) > len(start):
                return key[len(start) :]
    return key


def _shown(path: Path) -> str:
    """Return a path for a person; a decomposed form is named, as it looks the same."""
    text = path.as_posix().encode(errors="replace").decode()
    form = "" if unicodedata.is_normalized("NFC", text) else " (decomposed)"
    return f"{text!r}{form}"


def own_folders(library: Library) -> list[str]:
    """Return the audio folders of the tracks of a library."""
    if library.pk is None:
        return []
    return list(_own_roots(library).order_by("pk").values_list("path", flat=True))


def _own_roots(library: Library) -> QuerySet[AudioRoot]:
    tracks = Track.objects.filter(library=library, audio__root=OuterRef("pk"))
    return AudioRoot.objects.filter(Exists(tracks))


def known_roots(library: Library) -> dict[str, str]:
    """Return the audio folders that the page offers: name -> path.

    These are the folders of the settings and those of this library's tracks. The folders of
    another library are not offered to its managers.
    """
    return dict(_own_roots(library).values_list("name", "path")) | dict(settings.AUDIO_ROOTS)


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
