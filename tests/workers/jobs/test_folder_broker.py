"""The folder as a broker: whole messages or none, whatever was left by somebody killed."""

from __future__ import annotations

import os
import time
from queue import Empty

import pytest
from kombu import Connection

import audiotag_site.celery  # noqa: F401 - names the transport
from audiotag_site.folder_broker import Transport


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "broker").mkdir()
    return tmp_path / "broker"


@pytest.fixture
def channel(folder):
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder.with_name("control")),
    }
    with Connection("filesystem://", transport_options=options) as connection:
        assert isinstance(connection.transport, Transport)
        yield connection.channel()


def test_messages_come_once_in_their_order_each_in_its_queue(channel, folder):
    for number in range(3):
        channel._put("ml", {"n": number})
    channel._put("audio", {"n": 9})
    assert [channel._get("ml")["n"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        channel._get("ml")
    assert channel._size("audio") == 1
    assert channel._get("audio") == {"n": 9}
    assert os.listdir(folder) == []


@pytest.mark.parametrize("torn", [b"", b'{"n": '])
def test_a_torn_message_is_passed_over(channel, folder, torn):
    (folder / "0-torn.ml.msg").write_bytes(torn)
    channel._put("ml", {"n": 1})
    assert channel._get("ml") == {"n": 1}
    assert os.listdir(folder) == []


def test_a_message_that_is_being_written_is_not_seen(channel, folder):
    (folder / ".1-half.ml.msg.abc.part").write_bytes(b'{"n"')
    with pytest.raises(Empty):
        channel._get("ml")
    assert len(os.listdir(folder)) == 1


def test_what_was_left_behind_long_ago_goes(channel, folder):
    left = folder / ".1-half.ml.msg.abc.taken"
    left.write_bytes(b"{}")
    then = time.time() - 7_200
    os.utime(left, (then, then))
    with pytest.raises(Empty):
        channel._get("ml")
    assert os.listdir(folder) == []


def test_two_who_take_never_get_the_same(channel, folder):
    from concurrent.futures import ThreadPoolExecutor

    for number in range(60):
        channel._put("ml", {"n": number})

    def take_all(_):
        taken = []
        while True:
            try:
                taken.append(channel._get("ml")["n"])
            except Empty:
                return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [n for part in pool.map(take_all, range(4)) for n in part]
    assert sorted(taken) == list(range(60))


@pytest.mark.parametrize("torn", [b"", b'[["ml", "'])
def test_a_torn_table_of_queues_is_bound_anew(channel, folder, torn):
    control = folder.with_name("control")
    control.mkdir(exist_ok=True)
    (control / "ml.exchange").write_bytes(torn)
    channel._queue_bind("ml", "ml", "", "ml")
    channel._queue_bind("ml", "other", "", "other")
    channel._queue_bind("ml", "ml", "", "ml")
    assert {row.queue for row in channel.get_table("ml")} == {"ml", "other"}
    assert len(channel.get_table("ml")) == 2
