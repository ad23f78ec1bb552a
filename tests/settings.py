"""The settings of a test run: the same ones, in a data folder of the run's own.

pytest-django reads the settings before any conftest is loaded, so the folder is chosen here. A
process that a test starts inherits it, or is given another one. Each process of pytest-xdist
takes a folder of its own, as pytest-django gives it a database of its own.
"""

from __future__ import annotations

import os
import tempfile

_OWNER = os.environ.get("PYTEST_XDIST_WORKER", "main")
if os.environ.get("AUDIOTAG_TEST_RUN") != _OWNER:
    os.environ["AUDIOTAG_TEST_RUN"] = _OWNER
    os.environ["AUDIOTAG_DATA"] = tempfile.mkdtemp(prefix="audiotag-test-")
# One network a training, in what a test starts too: four have tests of their own.
os.environ["AUDIOTAG_MEMBERS"] = "1"
# Test processes share the processors, and threads for small matrices cost more than they gain.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from audiotag_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# No test asks what a crash of the database server leaves.
if DATABASES["default"]["ENGINE"].endswith("postgresql"):  # noqa: F405
    DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"  # noqa: F405
# Every test client would list all static files before its first request.
WHITENOISE_AUTOREFRESH = True
REST_FRAMEWORK = REST_FRAMEWORK | {"TEST_REQUEST_DEFAULT_FORMAT": "json"}  # noqa: F405
