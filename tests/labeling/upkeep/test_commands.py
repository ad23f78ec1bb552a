"""Behaviour that all commands have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_database_that_was_never_set_up_is_said_in_one_line(tmp_path):
    env = {**os.environ, "AUDIOTAG_DATA": str(tmp_path)}
    env.pop("AUDIOTAG_DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "manage.py", "consistency", "--library", "nowhere", "--json"],
        cwd=ROOT,
        env=env | {"DJANGO_SETTINGS_MODULE": "audiotag_site.settings"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr
