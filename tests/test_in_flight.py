"""The flush after a browser's test waits for the requests that the browser left behind."""

from __future__ import annotations

import threading

from django.core.signals import request_finished, request_started

from tests import in_flight


def test_a_request_of_another_thread_is_waited_for():
    began, may_end = threading.Event(), threading.Event()

    def serve():
        request_started.send(sender=None, environ={})
        began.set()
        may_end.wait(20)
        request_finished.send(sender=None)

    thread = threading.Thread(target=serve)
    thread.start()
    assert began.wait(20)
    assert not in_flight.wait_for_none(timeout_s=0)
    may_end.set()
    assert in_flight.wait_for_none()
    thread.join()


def test_a_thread_that_died_at_its_request_is_not_waited_for():
    thread = threading.Thread(target=lambda: request_started.send(sender=None, environ={}))
    thread.start()
    thread.join()
    assert in_flight.wait_for_none(timeout_s=0)
