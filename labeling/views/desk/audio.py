"""The sound of a track and its waveform, for members of its library.

Django's FileResponse answers 200 to a Range request, and a browser then cannot seek; this view
answers 206. A part is at most 1 MiB: the browser asks for the rest when it needs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
from django.conf import settings
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.http import http_date, parse_etags
from django.views.decorators.http import require_safe

from labeling.models import AudioFile, Library, Track
from labeling.permissions import Role, library_media
from labeling.ranges import ByteRange, Unsatisfiable, parse_range

PART_BYTES = 1024 * 1024
BLOCK_BYTES = 64 * 1024
#: The only types we send, by what the probe found or else by the file's extension.
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "mpeg": "audio/mpeg",
    "wav": "audio/wav",
    "wave": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "audio/mp4",
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
}


@dataclass(frozen=True)
class Opened:
    """A file that is open, with what its headers need; the descriptor decides, not the name."""

    file: BinaryIO
    size: int
    etag: str
    modified_s: float


def path_inside(root: str | Path, relative: str) -> Path:
    """Return the file's true path, or 404 if it leaves the root, even through a link."""
    try:
        base = Path(root).resolve(strict=True)
        found = (base / relative).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise Http404("the file is not there") from error
    if not found.is_relative_to(base) or not found.is_file():
        raise Http404("the file is not there")
    return found


def open_file(file_path: Path) -> Opened:
    """Open the file once; size, time and identity come from what was opened."""
    try:
        file = file_path.open("rb")
    except OSError as error:
        raise Http404("the file cannot be read") from error
    facts = os.fstat(file.fileno())
    etag = f'"{facts.st_ino:x}-{facts.st_size:x}-{facts.st_mtime_ns:x}"'
    return Opened(file, facts.st_size, etag, facts.st_mtime)


def blocks_of(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    """Read `length` bytes from `first` in blocks, and close the file."""
    with file:
        file.seek(first)
        while length > 0:
            block = file.read(min(BLOCK_BYTES, length))
            if not block:
                return
            length -= len(block)
            yield block


def content_type_of(audio: AudioFile) -> str:
    """Return a content type from our list, never the type that a file claims."""
    extension = Path(audio.relative_path).suffix.lstrip(".").lower()
    return (
        CONTENT_TYPES.get(audio.container.lower())
        or CONTENT_TYPES.get(extension)
        or "application/octet-stream"
    )


def disposition_of(name: str) -> str:
    """Return an inline Content-Disposition that no file name can break out of."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    encoded = quote(name.encode("utf-8", "replace"), safe="")
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _wants_this_file(request: HttpRequest, opened: Opened) -> bool:
    """Say whether If-Range allows a part: the client's other parts are of this same file."""
    condition = request.headers.get("If-Range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == opened.etag
    try:
        return parsedate_to_datetime(condition).timestamp() == int(opened.modified_s)
    except (TypeError, ValueError):
        return False


def _is_known(request: HttpRequest, etag: str) -> bool:
    return etag in parse_etags(request.headers.get("If-None-Match", ""))


def _range_of(request: HttpRequest, opened: Opened) -> ByteRange | None:
    if request.method != "GET" or not _wants_this_file(request, opened):
        return None
    return parse_range(request.headers.get("Range"), opened.size, most=PART_BYTES)


def serve_audio(request: HttpRequest, opened: Opened, content_type: str) -> HttpResponseBase:
    """Answer 200, 206, 304 or 416 with the file's bytes."""
    answer: HttpResponseBase
    if _is_known(request, opened.etag):
        opened.file.close()
        answer = HttpResponseNotModified()
    else:
        try:
            answer = _body(request, opened, content_type)
        except Unsatisfiable:
            opened.file.close()
            answer = HttpResponse(status=416, content_type=content_type)
            answer["Content-Range"] = f"bytes */{opened.size}"
    answer["ETag"] = opened.etag
    answer["Last-Modified"] = http_date(opened.modified_s)
    answer["Accept-Ranges"] = "bytes"
    answer["Cache-Control"] = "private, max-age=0, must-revalidate"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _body(request: HttpRequest, opened: Opened, content_type: str) -> HttpResponseBase:
    part = _range_of(request, opened)
    length = opened.size if part is None else part.length
    answer: HttpResponseBase
    if request.method == "HEAD":
        opened.file.close()
        answer = HttpResponse(content_type=content_type)
    else:
        blocks = blocks_of(opened.file, part.first if part else 0, length)
        answer = StreamingHttpResponse(blocks, content_type=content_type)
        # Closed even if the client leaves before the first block is read.
        answer._resource_closers.append(opened.file.close)  # type: ignore[attr-defined]
    if part is not None:
        answer.status_code = 206
        answer["Content-Range"] = part.content_range
    answer["Content-Length"] = str(length)
    return answer


def _audio_of(library: Library, track_id: int) -> AudioFile:
    tracks = Track.objects.in_use().select_related("audio__root")
    track = get_object_or_404(tracks, pk=track_id, library=library)
    if track.audio is None:
        raise Http404("this track has no audio")
    return track.audio


@require_safe
@library_media(Role.ANNOTATOR)
def audio(request: HttpRequest, library: Library, track_id: int) -> HttpResponseBase:
    """Send the sound of a track, or the part of it that was asked for."""
    row = _audio_of(library, track_id)
    opened = open_file(path_inside(row.root.path, row.relative_path))
    answer = serve_audio(request, opened, content_type_of(row))
    answer["Content-Disposition"] = disposition_of(Path(row.relative_path).name)
    return answer


@require_safe
@library_media(Role.ANNOTATOR)
def peaks(request: HttpRequest, library: Library, track_id: int) -> HttpResponseBase:
    """Send the waveform: int8, lowest and highest of each column in turn."""
    row = _audio_of(library, track_id)
    if not row.peaks_file:
        raise Http404("no waveform yet: the audio worker has not read this file")
    file_path = path_inside(settings.PEAKS_ROOT, row.peaks_file)
    opened = open_file(file_path)
    opened.file.close()
    answer: HttpResponseBase
    if _is_known(request, opened.etag):
        answer = HttpResponseNotModified()
    else:
        answer = HttpResponse(_peak_bytes(file_path), content_type="application/octet-stream")
    answer["ETag"] = opened.etag
    answer["Cache-Control"] = "private, max-age=3600"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _peak_bytes(file_path: Path) -> bytes:
    """Return the bare numbers, whether the file has numpy's header or not."""
    if file_path.suffix != ".npy":
        return file_path.read_bytes()
    try:
        return np.load(file_path, allow_pickle=False).astype(np.int8).tobytes()
    except (OSError, ValueError) as error:
        raise Http404("the waveform's file is damaged: probe the track again") from error


urlpatterns = [
    path("audio/<slug:slug>/<int:track_id>/", audio, name="audio"),
    path("peaks/<slug:slug>/<int:track_id>/", peaks, name="peaks"),
]
