"""Site configuration, without domain code.

The Celery application is loaded with it, so that a view can enqueue a task by name.
"""

from __future__ import annotations

from audiotag_site.celery import app as celery_app

__all__ = ["celery_app"]
