"""Reading ahead: a thread checks and seals the next chunk while the database works on the one before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress

from apps.users.importing.reader import Chunk

CHUNKS_AHEAD = 1
BEAT_SECONDS = 0.5
Item = Chunk | BaseException | None


def read_ahead(chunks: Iterator[Chunk], beat: Callable[[], None]) -> Generator[Chunk, None, None]:
    """The same chunks; `beat` is called in this thread twice a second while none is ready. Closing it ends the thread.

    What the chunks raise is raised here.
    """
    ready: queue.Queue[Item] = queue.Queue(CHUNKS_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(chunks, ready, stop), name="people-import-reader", daemon=True)
    thread.start()
    try:
        while (item := _waited_for(ready, beat)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        with suppress(queue.Empty):
            ready.get_nowait()  # room, so that the thread sees the end at once
        thread.join()


def _read(chunks: Iterator[Chunk], ready: queue.Queue[Item], stop: threading.Event) -> None:
    try:
        for chunk in chunks:
            if not _handed_over(chunk, ready, stop):
                return
        _handed_over(None, ready, stop)
    except BaseException as fault:  # raised again by the thread that waits for the chunks
        _handed_over(fault, ready, stop)


def _handed_over(item: Item, ready: queue.Queue[Item], stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            ready.put(item, timeout=BEAT_SECONDS)
            return True
        except queue.Full:
            continue
    return False


def _waited_for(ready: queue.Queue[Item], beat: Callable[[], None]) -> Item:
    while True:
        try:
            return ready.get(timeout=BEAT_SECONDS)
        except queue.Empty:
            beat()
