"""Consistency in the worst case: every annotator judged every track.

    python -m benchmarks.consistency [--tracks 48411] [--labels 55] [--json]

One to three annotators answer all tracks over two years, one to four labels each, so that
nearly every answer is another set of labels. `measure` counts everything for the first time,
`report` then runs the command, and `page` visits the page. Each step runs in its own process,
on SQLite, and is timed in processor seconds. Baseline in the same run: one annotator. Bars for
two: measure 15 s, report 5 s, page 1 s, 300 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import report

BARS = {"measure_s": 15.0, "report_s": 5.0, "page_s": 1.0, "peak_mb": 300.0}
STEPS = ("seed", "measure", "report", "page")
FIRST = datetime(2024, 1, 1, 12, tzinfo=UTC)
DAYS = 730
CHUNK = 2_000


def main() -> int:
    asked = _arguments()
    if asked.step:
        print(json.dumps(_step(asked)))
        return 0
    cases = [_case(n, asked) for n in (1, 2, 3)]
    base = cases[0]
    for case in cases:
        case["report_times"] = case["report_s"] / base["report_s"]
        case["measure_times"] = case["measure_s"] / base["measure_s"]
    pair = cases[1]
    holds = all(pair[name] <= most for name, most in BARS.items())
    print(json.dumps({"cases": cases}) if asked.json else report.table(cases))
    report.write("consistency", {"asked": vars(asked), "bars": BARS, "cases": cases})
    print("holds" if holds else f"over the bars {BARS}", file=sys.stderr)
    return 0 if holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--tracks", type=int, default=48_411)
    parser.add_argument("--labels", type=int, default=55)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--annotators", type=int, default=2, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _case(n_annotators: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Run the steps one after the other, each in a process of its own."""
    print(f"{n_annotators} annotators ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.consistency", f"--annotators={n_annotators}"]
    command += [f"--{name}={getattr(asked, name)}" for name in ("tracks", "labels")]
    case: dict[str, Any] = {"annotators": n_annotators, "tracks": asked.tracks}
    with tempfile.TemporaryDirectory(prefix="bench-consistency-") as data:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "audiotag_site.settings",
            "AUDIOTAG_DATA": data,
            "AUDIOTAG_DATABASE_URL": f"sqlite:///{data}/bench.sqlite3",
        }
        for step in STEPS:
            done = subprocess.run(
                [*command, "--step", step],
                env=environment,
                stdout=subprocess.PIPE,
                check=True,
            )
            found = json.loads(done.stdout)
            if step != "seed":
                case[f"{step}_s"] = found["seconds"]
                case[f"{step}_mb"] = found["peak_mb"]
        case["peak_mb"] = max(case[f"{step}_mb"] for step in STEPS[1:])
    return case


def _step(asked: argparse.Namespace) -> dict[str, Any]:
    """Do one step in this process; return processor seconds of it alone and the peak in MB."""
    import django

    django.setup()
    work: dict[str, Callable[[], object]] = {
        "seed": lambda: seed(asked.annotators, asked.tracks, asked.labels),
        "measure": _measure,
        "report": _report,
        "page": _page,
    }
    if asked.step == "page":
        _page()  # the first visit also loads templates
    start = time.process_time()
    work[asked.step]()
    seconds = time.process_time() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak_mb}


def _measure() -> object:
    from labeling.loop.consistency import rollups

    return rollups.measure(_library())


def _report() -> object:
    from labeling.loop.consistency import agreement

    return agreement.report(_library())


def _page() -> object:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    user, _ = User.objects.get_or_create(username="bench", is_superuser=True)
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(reverse("consistency", args=["bench"]))
    if answer.status_code != 200:
        raise SystemExit(f"the page answers {answer.status_code}")
    return answer


def _library() -> Any:
    from labeling.models import Library

    return Library.objects.get(slug="bench")


def seed(n_annotators: int, n_tracks: int, n_labels: int) -> None:
    """Write the library directly to the tables; only the counting afterwards is measured."""
    from django.core.management import call_command

    from labeling.bulk_rows import insert_rows
    from labeling.loop.library import libraries, taxonomy
    from labeling.models import Annotator, Facet, Track
    from labeling.writing import short_write

    call_command("migrate", verbosity=0)
    library, _ = libraries.get_or_create_library("bench")
    facet = Facet.objects.get(library=library, name="genre")
    labels = taxonomy.create_labels(facet, [f"Genre {n:02}" for n in range(n_labels)])
    label_set = taxonomy.label_set_of(facet)
    people = [
        Annotator.objects.create(library=library, name=f"Annotator {n}", name_key=f"a {n}")
        for n in range(n_annotators)
    ]
    head = (library.pk, libraries.guideline_in_force(library).pk, facet.pk, label_set.pk)
    tracks = [(library.pk, f"album {n // 12}/{n:07}.mp3") for n in range(n_tracks)]
    with short_write():
        track_ids = insert_rows(Track, ("library_id", "key"), tracks)
    rng = random.Random(48_411)
    for person in people:
        answers = _answers(track_ids, [label.pk for label in labels], rng)
        for start in range(0, n_tracks, CHUNK):
            _write(head, person.pk, [next(answers) for _ in track_ids[start : start + CHUNK]])


Given = tuple[int, datetime, list[int]]


def _answers(track_ids: list[int], label_ids: list[int], rng: random.Random) -> Iterator[Given]:
    """Yield track, time and labels; two people share the first label of about two in three."""
    for n, track_id in enumerate(track_ids):
        first = label_ids[(track_id * 7919 if rng.random() < 0.8 else n) % len(label_ids)]
        others = rng.sample(label_ids, rng.randint(0, 3))
        when = FIRST + timedelta(days=DAYS * n / len(track_ids))
        yield track_id, when, sorted({first, *others})


def _write(head: tuple[int, int, int, int], annotator_id: int, given: list[Given]) -> None:
    from labeling.bulk_rows import insert_rows
    from labeling.models import Annotation, Answer, DirtyKey, Judgement
    from labeling.writing import short_write

    library_id, guideline_id, facet_id, label_set_id = head
    names = ("library_id", "guideline_id", "annotator_id", "kind", "stratum")
    constants = (library_id, guideline_id, annotator_id, "judgement", "audit")
    with short_write():
        event_ids = insert_rows(
            Annotation,
            (*names, "track_id", "answered_at", "idempotency_key"),
            [(*constants, track, when, f"bench:{track}") for track, when, _ in given],
        )
        answer_ids = insert_rows(
            Answer,
            ("annotation_id", "facet_id", "label_set_id"),
            [(event_id, facet_id, label_set_id) for event_id in event_ids],
        )
        insert_rows(
            Judgement,
            ("answer_id", "label_id", "value"),
            [
                (answer_id, label_id, 1)
                for answer_id, (_, _, said) in zip(answer_ids, given, strict=True)
                for label_id in said
            ],
        )
        insert_rows(
            DirtyKey,
            ("library_id", "annotator_id", "track_id", "day"),
            [(library_id, annotator_id, track, when.date()) for track, when, _ in given],
        )


if __name__ == "__main__":
    sys.exit(main())
