"""Requests that the live server is at, so that the database is emptied under none of them."""

from __future__ import annotations

import threading

from django.core.signals import request_finished, request_started

_changed = threading.Condition()
_at_work: set[threading.Thread] = set()


def watch() -> None:
    """Note from now on which threads are at a request; the tests' own is not looked at."""
    request_started.connect(_began, weak=False)
    request_finished.connect(_ended, weak=False)


def wait_for_none(timeout_s: float = 20) -> bool:
    """Wait until no thread is at a request; False if one still is."""
    with _changed:
        return _changed.wait_for(_is_none, timeout_s)


def _is_none() -> bool:
    return not any(thread.is_alive() for thread in _at_work)


def _began(**signal: object) -> None:
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        with _changed:
            _at_work.add(thread)


def _ended(**signal: object) -> None:
    with _changed:
        _at_work.discard(threading.current_thread())
        _changed.notify_all()
