"""Everything used from outside matches the golden files, byte for byte.

Commands, addresses, the API, settings, CSV columns, tables, stored values and hashes. If a
change is intended, run `python -m tests.contracts.write` and read the difference.
"""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts.write import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
KINDS = sorted(path.stem for path in GOLDEN.glob("*.json"))
#: How much of a difference is shown: lines, and characters of each.
SHOWN, WIDEST = 60, 200


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    """The picture of the program as it is now, made by a process of its own."""
    folder = tmp_path_factory.mktemp("picture")
    done = subprocess.run(
        [sys.executable, "-m", "tests.contracts.picture", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_contract_is_kept(picture, kind):
    golden = (GOLDEN / f"{kind}.json").read_text().splitlines()
    now = (picture / f"{kind}.json").read_text().splitlines()
    lines = list(difflib.unified_diff(golden, now, "golden", "now", n=4, lineterm=""))
    if lines:
        more = f"\n... and {len(lines) - SHOWN} more lines" if len(lines) > SHOWN else ""
        shown = "\n".join(line[:WIDEST] for line in lines[:SHOWN])
        pytest.fail(f"{kind} changed:\n{shown}{more}", pytrace=False)


def test_every_kind_has_a_golden_file(picture):
    assert sorted(path.stem for path in picture.iterdir()) == KINDS


def test_golden_files_stay_small():
    assert sum(path.stat().st_size for path in GOLDEN.iterdir()) < 400_000
