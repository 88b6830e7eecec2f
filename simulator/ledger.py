"""What the providers really accepted: append-only lines, on their way to disk before any answer leaves."""

import json
import os
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from simulator.chance import address_hash

LINES_PER_FSYNC = 100


class Entry(NamedTuple):
    """One accepted (or swallowed) recipient; the address itself is never written."""

    address: str
    delivery_ref: str
    body_hash: str


class Ledger:
    """An append-only JSONL file. ``write`` returns after the operating system has the lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._offsets = array("Q")
        self._end = 0
        self._unsynced = 0
        self._syncer = ThreadPoolExecutor(1, "ledger-fsync")
        self._syncing: Future[None] | None = None
        self._index_existing()

    def _index_existing(self) -> None:
        """Find where earlier lines start; a last line cut short by a power loss is dropped."""
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._end)
                    break
                self._offsets.append(self._end)
                self._end += len(line)

    def __len__(self) -> int:
        return len(self._offsets)

    def write(self, common: dict[str, Any], entries: Iterable[Entry]) -> None:
        """Append one line for every entry; ``common`` holds what the recipients of a call share."""
        head = json.dumps(common, ensure_ascii=False, separators=(",", ":"))[:-1]
        lines = []
        for entry in entries:
            ref = json.dumps(entry.delivery_ref, ensure_ascii=False)
            hashes = f'"addr_hash":"{address_hash(entry.address)}","body_hash":"{entry.body_hash}"'
            line = f'{head},"delivery_ref":{ref},{hashes}}}\n'.encode()
            self._offsets.append(self._end)
            self._end += len(line)
            lines.append(line)
        self._append(b"".join(lines))
        self._unsynced += len(lines)
        if self._unsynced >= LINES_PER_FSYNC:
            self._sync_soon()

    def _append(self, block: bytes) -> None:
        """Hand the whole block to the operating system, however many calls it takes."""
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _sync_soon(self) -> None:
        """Start an fsync beside the event loop unless one is still running (then it follows that one)."""
        if self._syncing is None or self._syncing.done():
            self._unsynced = 0
            self._syncing = self._syncer.submit(os.fsync, self._file)

    def read(self, after: int = 0, block_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the raw lines that follow the first ``after`` ones, in blocks, as they stand at the call."""
        if after >= len(self._offsets):
            return
        position, end = self._offsets[max(after, 0)], self._end
        while position < end:
            block = os.pread(self._file, min(block_bytes, end - position), position)
            position += len(block)
            yield block

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield every line parsed; used to remember earlier acceptances after a restart."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Wait for the disk and close."""
        self._syncer.shutdown(wait=True)
        os.fsync(self._file)
        os.close(self._file)
