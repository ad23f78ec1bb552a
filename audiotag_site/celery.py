"""The Celery application. Workers load `workers.tasks`; the web process never does."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "audiotag_site.settings")
# filesystem:// uses our transport instead of kombu's; folder_broker says why.
TRANSPORT_ALIASES["filesystem"] = "audiotag_site.folder_broker:Transport"

app = Celery("audiotag")
app.config_from_object("django.conf:settings", namespace="CELERY")
