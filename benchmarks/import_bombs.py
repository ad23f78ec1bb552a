"""Time and memory of catalogues that are none, or far too large.

    python benchmarks/import_bombs.py [--only NAME] [--mb 190]

Makes each file in a folder of its own and has it previewed, started (as the Imports page does)
and imported (as the command does), each in its own process. Prints a table of seconds without
the start of Python, peak memory and the reason, and writes it as JSON. The limits are 5 s and
300 MB; the exit code is 1 if one is passed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import report

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S, LIMIT_MB = 5.0, 300
_RUN = """
import json, resource, sys, time
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
from labeling.errors import BadInput
from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions
from labeling.loop.importing.csv.columns import ReadingOptions
how, path = sys.argv[1], Path(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    if how == "preview":
        found = catalogue.preview_catalogue(path)
        said = f"{len(found['columns'])} columns, {found['encoding']}"
    elif how == "start":
        columns, _ = catalogue.read_columns(path, ReadingOptions(), {"genre"})
        said = f"{len(columns.names)} columns"
    else:
        found = catalogue.import_catalogue("bomb", path, ImportOptions())
        said = f"{found['rows_read']} rows read, {found['rows_rejected']} rejected"
except BadInput as error:
    said = f"refused: {error}"
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak": peak // 1024, "before": before // 1024,
                  "said": said}))
"""


def bombs(size: int) -> dict[str, Callable[[], Any]]:
    """Return the files by name, each as a function that yields its bytes in blocks."""
    head = b"filename,genre\n"
    return {
        "1 MB of NULs": lambda: [b"\0" * (1 << 20)],
        "100,000 columns": lambda: [b"filename," + b"genre," * 100_000 + b"\n"],
        "1,000,000 columns": lambda: [b"filename," + b"x," * 1_000_000 + b"\n"],
        "no line end": lambda: _repeated(b"filename,genre,", size),
        "no line end behind the header": lambda: [head, *_repeated(b"a.mp3,Rock,", size)],
        "open quote": lambda: [
            head,
            b'a.mp3,"Rock\n',
            *_repeated(b"b.mp3,Pop and more\n", size),
        ],
        "open quote, one line": lambda: [head, b'a.mp3,"', *_repeated(b"Rock ", size)],
        "open quotes": lambda: [head, *_repeated(b'a.mp3,"Rock\n', size)],
        "open quotes, long rows": lambda: [
            head,
            *_repeated(b'a.mp3,"Rock' + b" and Roll" * 60 + b"\n", size),
        ],
        "open quotes, long cells": lambda: [
            head,
            *_repeated(b'a.mp3,"' + b"Rock " * 8_000 + b"\n" + b"b\n" * 500, size),
        ],
        "one short line": lambda: [head, *_repeated(b"a.mp3,Rock\n", size)],
        "blank lines": lambda: [head, *_repeated(b"\n", size)],
        "carriage returns": lambda: [head[:-1], *_repeated(b"\r", size)],
        "nothing but delimiters": lambda: [head, *_repeated(b",", size)],
        "bytes that are not UTF-8": lambda: [head, *_repeated(b"\xe9.mp3,\xe9\n", size)],
        "zip": lambda: [_zip()],
        "Excel workbook": lambda: [_zip("[Content_Types].xml"), b"\0" * 100_000],
        "random bytes": lambda: (os.urandom(1 << 20) for _ in range(max(1, size >> 20))),
        "UTF-16 without line ends": lambda: _repeated("a,".encode("utf-16-le"), size),
    }


def _repeated(text: bytes, size: int) -> Any:
    block = text * max(1, (1 << 20) // len(text))
    return (block for _ in range(max(1, size // len(block))))


def _zip(name: str = "a.csv") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, b"filename,genre\n" + b"\0" * 50_000_000)
    return packed.getvalue()


def measured(data: Path, name: str, how: str, path: Path) -> dict[str, Any]:
    """Run one step in its own process; return its time, memory and answer."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, how, str(path)],
        cwd=ROOT,
        env={
            **os.environ,
            "AUDIOTAG_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "audiotag_site.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    is_within = found["seconds"] <= LIMIT_S and found["peak"] <= LIMIT_MB
    return {
        "file": name,
        "step": how,
        "s": found["seconds"],
        "peak MB": found["peak"],
        "before MB": found["before"],
        "within": "yes" if is_within else "NO",
        "answer": found["said"][:90],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--mb", type=int, default=190)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-bombs-") as folder:
        data = Path(folder)
        env = {**os.environ, "AUDIOTAG_DATA": str(data)}
        command = [sys.executable, "manage.py", "migrate", "--noinput"]
        subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)
        for name, blocks in bombs(options.mb << 20).items():
            if options.only not in name:
                continue
            path = data / "bomb.csv"
            with path.open("wb") as file:
                for block in blocks():
                    file.write(block)
            rows += [measured(data, name, how, path) for how in ("preview", "start", "import")]
            print(report.table(rows[-3:]), flush=True)
    print(report.table(rows))
    report.write("import-bombs", {"mb": options.mb, "rows": rows})
    return int(any(row["within"] == "NO" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
