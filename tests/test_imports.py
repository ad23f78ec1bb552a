"""Modules that each process loads: one stray import makes a web process 650 MB larger."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = (
    "tensorflow",
    "keras",
    "librosa",
    "soundfile",
    "soxr",
    "scipy",
    "sklearn",
    "matplotlib",
)
_PROGRAM = """
import json, sys, os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audiotag_site.settings")
{load}
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
_WEB = """
from audiotag_site.wsgi import application
from django.urls import get_resolver
def touch(resolver):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            touch(pattern)
touch(get_resolver())
from django.test import Client
Client(raise_request_exception=False).get("/healthz", headers={"host": "localhost"})
"""
_AUDIO_WORKER = """
from audiotag_site.celery import app
app.loader.import_default_modules()
"""


def loaded_by(load, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(load=load, heavy=HEAVY)],
        env={**os.environ, "AUDIOTAG_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_web_process_loads_neither_tensorflow_nor_a_decoder(tmp_path):
    assert loaded_by(_WEB, tmp_path) == []


def test_a_worker_loads_tensorflow_only_inside_of_a_task(tmp_path):
    assert not {"tensorflow", "keras", "librosa"} & set(loaded_by(_AUDIO_WORKER, tmp_path))


@pytest.mark.parametrize(
    "module",
    [
        "types",
        "errors",
        "consistency.agreement",
        "metrics.scores",
        "acquisition.strategies",
        "metrics.splits",
        "simulation.library",
        "evaluation.report",
        "evaluation.comparison",
    ],
)
def test_the_numpy_half_of_ml_stays_light(module, tmp_path):
    assert loaded_by(f"import ml.{module}", tmp_path) == []
