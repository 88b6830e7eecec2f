"""What sessions of both protocols have in common: the stream, the spoilt answers, the end."""

import asyncio
import socket
import time
from typing import Any

from simulator.exchange import LINGER_NOT
from simulator.outside import spawn
from simulator.providers.carrier.port import Carrier
from simulator.scripts import Plan

READ_BYTES = 65536


class Hangup(Exception):
    """The session ends; ``rude`` means by reset."""

    def __init__(self, rude: bool = False) -> None:
        super().__init__()
        self.rude = rude


class Session:
    """One connection. A protocol reads requests out of ``buffer`` and writes with ``write``."""

    def __init__(self, port: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port: Carrier = port
        self.reader, self.writer = reader, writer
        self.buffer = bytearray()
        self.account = ""
        self.told: dict[int, tuple[Any, float]] = {}
        self.unanswered = 0
        self._sequence = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Talk until either side ends it."""
        try:
            while block := await self.reader.read(READ_BYTES):
                self.buffer += block
                self.read()
                await self.writer.drain()
        except Hangup as end:
            if end.rude:
                connection: socket.socket = self.writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                self.writer.transport.abort()
        except ConnectionError:
            pass
        finally:
            self.port.desk.go(self)
            if self.account:
                self.port.logged_in.remove(self.account)
            for task in self._tasks:
                task.cancel()
            self.writer.close()

    def read(self) -> None:
        """Take whole requests out of the buffer."""
        raise Hangup

    def tell(self, receipt: Any) -> int:
        """Write a receipt; return the number that its answer will carry."""
        raise Hangup

    def write(self, octets: bytes) -> None:
        """Write unless the other side is gone."""
        if not self.writer.is_closing():
            self.writer.write(octets)

    def next_sequence(self) -> int:
        """Return the number of our next own request."""
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def enter(self, account: str, receives: bool) -> None:
        """The login was taken."""
        self.account = account
        self.port.logged_in.append(account)
        if receives:
            self.port.desk.come(self)

    def later(self, octets: bytes, seconds: float) -> None:
        """Answer after the time that the line takes, without holding up the rest."""
        seconds += float(self.port.switches["latency_s"])
        if not seconds:
            self.write(octets)
            return
        self.unanswered += 1
        spawn(self._tasks, self._answer(octets, seconds))

    async def _answer(self, octets: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.unanswered -= 1
        self.write(octets)

    def carry_out(self, plan: Plan, honest: bytes, failed: bytes) -> None:
        """Give the answer, or what the plan makes of it."""
        if plan.action is None:
            self.later(honest, 0.0)
        elif plan.action in ("reset_before", "reset_after"):
            raise Hangup(rude=True)
        elif plan.action in ("hang", "drip"):
            if plan.argument:
                self.later(honest, float(plan.argument))
            else:
                self.unanswered += 1
        elif plan.action == "500":
            self.later(failed, 0.0)
        else:
            self.write(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>\xff")
            raise Hangup

    def tell_of(self, receipt: Any, due: float, address: str, pid: str) -> None:
        """Plan a receipt; with the switch ``receipt_first`` one that is due goes out before the answer itself."""
        if self.port.switches["receipt_first"]:
            due = min(due, time.time())
        self.port.desk.plan(self.account, receipt, due, (address, pid))
