"""Fill an empty database with a library at work: a ranked round, two years of answers.

For N queue items there are N tracks of the pool that the round ranked, N / 20 that it did not
(to explore), N / 10 that the annotators judged long ago (to repeat), and N / 4 audit tracks
(a fifth of all tracks, as `audit_share` sets it). The rows are written directly to the tables:
only the serving afterwards is measured.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.core.management.color import no_style
from django.db import connection, models, transaction
from rest_framework.authtoken.models import Token

from labeling.loop.library import libraries, taxonomy
from labeling.loop.serving import serve
from labeling.models import (
    Annotation,
    Answer,
    AudioFile,
    AudioRoot,
    CurrentAnswer,
    Facet,
    Judgement,
    Label,
    Library,
    Membership,
    QueueItem,
    Track,
)

CHUNK = 50_000
N_LABELS = 55
NOW = datetime.now(UTC)
#: Odd, and prime to both sizes: ranks come in another order than ids.
STRIDE = 611_953
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Seeded:
    """The facts that the clients need."""

    slug: str
    tokens: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class _Sizes:
    items: int

    @property
    def history(self) -> int:
        return self.items // 10

    @property
    def pool(self) -> int:
        return self.items + self.items // 20 + self.history

    @property
    def tracks(self) -> int:
        return self.pool + self.items // 4


def seed(n_items: int, n_clients: int, *, has_audio: bool = True) -> Seeded:
    """Write everything; ids count from 1."""
    library, _ = libraries.get_or_create_library("bench")
    genre = Facet.objects.get(library=library, name="genre")
    labels = taxonomy.create_labels(genre, [f"Genre {n:02}" for n in range(N_LABELS)])
    tokens = [_client(library, number) for number in range(n_clients)]
    sizes = _Sizes(n_items)
    _load_tracks(library, sizes, _audio() if has_audio else None)
    _load_items(library, sizes)
    _load_history(library, sizes, n_clients, labels)
    _settle()
    return Seeded(library.slug, tuple(tokens), tuple(label.name for label in labels))


def _client(library: Library, number: int) -> str:
    user = User.objects.create(username=f"client{number}")
    Membership.objects.create(library=library, user=user)
    libraries.annotator_of(library, user)
    return str(Token.objects.create(user=user).key)


def _audio() -> AudioFile:
    root = AudioRoot.objects.create(name="bench", path="/nowhere")
    return AudioFile.objects.create(root=root, relative_path="one.mp3", length_s=180.0)


def _load_tracks(library: Library, sizes: _Sizes, audio: AudioFile | None) -> None:
    constants = {
        "library": library.pk,
        "audio": audio.pk if audio else None,
        "state": Track.State.READY if audio else Track.State.NO_AUDIO,
    }
    rows = (
        (n, f"{n:032x}", f"album {n // 12}/{n:07}.mp3", f"Track {n}", n > sizes.pool, _hash(n))
        for n in range(1, sizes.tracks + 1)
    )
    names = ("id", "uid", "key", "title", "is_audit", "random_key")
    _load(Track, names, rows, constants)


def _hash(n: int) -> int:
    """Return 53 bits that look like the hash of a track's key."""
    return (n * 0x9E3779B97F4A7C15 % 2**64) >> 11


def _load_items(library: Library, sizes: _Sizes) -> None:
    round_ = serve.live_round(library)
    round_.next_rank = sizes.items
    round_.save()
    constants = {"round": round_.pk, "stratum": "acquire", "strategy": "test", "reason": "far"}
    rows = ((n, n, n * STRIDE % sizes.items) for n in range(1, sizes.items + 1))
    _load(QueueItem, ("id", "track", "rank"), rows, constants)


def _load_history(
    library: Library, sizes: _Sizes, n_clients: int, labels: Sequence[Label]
) -> None:
    annotators = list(library.annotators.values_list("pk", flat=True))
    label_set = taxonomy.label_set_of(labels[0].facet)
    numbers = range(1, sizes.history + 1)
    first = sizes.pool - sizes.history
    who = [annotators[n % n_clients] for n in range(sizes.history + 1)]
    days = [_days_ago(31 + 700 * n / sizes.history) for n in range(sizes.history + 1)]
    guideline = libraries.guideline_in_force(library)
    constants = {"library": library.pk, "guideline": guideline.pk, "kind": "judgement"}
    names = ("id", "uid", "track", "annotator", "answered_at", "recorded_at", "idempotency_key")
    rows = ((n, f"{n:032x}", first + n, who[n], days[n], days[n], f"old{n}") for n in numbers)
    _load(Annotation, names, rows, constants)
    facet = labels[0].facet_id
    answer_constants = {"facet": facet, "label_set": label_set.pk}
    _load(Answer, ("id", "annotation"), ((n, n) for n in numbers), answer_constants)
    said = (
        (2 * n + second, n, labels[(n * (1 + second) + second) % N_LABELS].pk)
        for n in numbers
        for second in (0, 1)
        if second == 0 or (2 * n + 1 - n) % N_LABELS
    )
    _load(Judgement, ("id", "answer", "label"), said, {"value": 1})
    current = ((n, who[n], first + n, n) for n in numbers)
    _load(CurrentAnswer, ("id", "annotator", "track", "answer"), current, {"facet": facet})


def _days_ago(days: float) -> str:
    return f"{NOW - timedelta(days=days):%Y-%m-%d %H:%M:%S}"


# --- writing rows fast ----------------------------------------------------------------------


def _load(
    model: type[models.Model],
    names: Sequence[str],
    rows: Iterable[Row],
    constants: dict[str, Any],
) -> None:
    """Write rows of these fields; the others have their constant or their default."""
    rest = [
        field
        for field in model._meta.concrete_fields
        if field.name not in names and not field.generated and field.name != "id"
    ]
    tail = tuple(
        constants[field.name] if field.name in constants else _default(field) for field in rest
    )
    fields = [model._meta.get_field(name) for name in names] + rest
    columns = [str(field.column) for field in fields]
    write = _copy if connection.vendor == "postgresql" else _insert
    with transaction.atomic():
        for chunk in _chunks(row + tail for row in rows):
            write(model._meta.db_table, columns, chunk)


def _default(field: Any) -> Any:
    if isinstance(field, models.JSONField):
        return "{}" if field.default is dict else "[]"
    if isinstance(field, models.DateTimeField) and not field.null:
        return _days_ago(0)
    return field.get_default()


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _insert(table: str, columns: list[str], rows: list[Row]) -> None:
    places = ", ".join("?" * len(columns))
    sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    connection.connection.executemany(sql, rows)


def _copy(table: str, columns: list[str], rows: list[Row]) -> None:
    lines = ("\t".join("\\N" if v is None else str(v) for v in row) for row in rows)
    text = io.StringIO("\n".join(lines) + "\n")
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", text)


def _settle() -> None:
    """Do what PostgreSQL does automatically after a while; leave SQLite as it is."""
    if connection.vendor != "postgresql":
        return
    loaded = [Track, QueueItem, Annotation, Answer, Judgement, CurrentAnswer]
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), loaded):
            cursor.execute(sql)
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
