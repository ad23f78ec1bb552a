"""Message broker in a folder, for one machine without Redis; a kill at any moment is safe.

The file-system transport of kombu, which this extends, creates a file and then fills it. A
worker that reads it in between gets half a message and crashes, with the work of its children.
A sender killed in between leaves such a file, and a table of queues that cannot be read. Here
each file is written under another name and then renamed, so it is always complete. A message
that still cannot be read is skipped: messages only wake workers, and the sweep resends them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem, virtual
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

_FORGOTTEN_AFTER_S = 3_600.0


class Channel(filesystem.Channel):
    """Channel that writes and takes each file in one step, by renaming it."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}.{queue}.msg"
        try:
            _publish(Path(self.data_folder_out) / name, payload)
        except OSError as error:
            raise ChannelError(f"cannot write a message to {self.data_folder_out}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.startswith("."):
                _forget(folder / name)
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            content = _take(folder / name)
            if content is None:
                continue
            try:
                return loads(bytes_to_str(content))
            except ValueError:
                logger.warning("message %s cannot be read and is skipped", name)
        raise Empty

    def get_table(self, exchange: str) -> list[Any]:
        """Return the queues bound to an exchange."""
        try:
            return list(super().get_table(exchange))
        except ValueError:
            logger.warning(
                "the queues of exchange %r cannot be read; they are bound again", exchange
            )
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        file = self._exchange_file(exchange)
        bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self.control_folder.mkdir(exist_ok=True)
        try:
            with open(self.control_folder / ".lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                table = self.get_table(exchange)
                if bound not in table:
                    _publish(file, [bound, *table])
        except OSError as error:
            raise ChannelError(f"cannot write {file}") from error


class Transport(filesystem.Transport):
    """Transport that uses the folder as a broker."""

    Channel = Channel
    global_state = virtual.BrokerState()


def _publish(path: Path, content: Any) -> None:
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    partial.write_bytes(str_to_bytes(dumps(content)))
    partial.rename(path)


def _take(path: Path) -> bytes | None:
    """Return the content of a message and remove it; None if another process took it."""
    mine = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.taken")
    try:
        path.rename(mine)
        content = mine.read_bytes()
        mine.unlink()
    except OSError:
        return None
    return content


def _forget(path: Path) -> None:
    """Remove a file that a killed process left behind long ago."""
    try:
        if time.time() - path.stat().st_mtime > _FORGOTTEN_AFTER_S:
            path.unlink(missing_ok=True)
    except OSError:
        return
