"""The settings of a test run: the same ones, in a data folder of the run's own.

pytest-django reads the settings before any conftest is loaded, so the folder is chosen here. A
process that a test starts inherits it, or is given another one.
"""

from __future__ import annotations

import os
import tempfile

if "AUDIOTAG_TEST_RUN" not in os.environ:
    os.environ["AUDIOTAG_TEST_RUN"] = "1"
    os.environ["AUDIOTAG_DATA"] = tempfile.mkdtemp(prefix="audiotag-test-")

from audiotag_site.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = REST_FRAMEWORK | {"TEST_REQUEST_DEFAULT_FORMAT": "json"}  # noqa: F405
