"""`python -m bench.bare.batch_loop PORT FIRST COUNT SIZE`: the limit of calls for many recipients of equal content.

A CurlMulti loop that builds, signs and reads calls of SIZE numbers each, from values in memory, and marks the rows of
every call with one UPDATE when its answer is there: no lease, no intent, no attempts, nothing sealed, no rules. The next
call is on its way while the rows of the former are written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import pycurl

from bench.bare.http_loop import SIGN_NAME, Line, signed
from bench.child import when_told
from bench.databases import connect
from bench.people import person

IN_FLIGHT = 2
PRICE = "0.045"
ROWS = "SELECT id FROM campaigns_delivery ORDER BY id OFFSET %s LIMIT %s"
RESULT = """
UPDATE campaigns_delivery SET state = 'ACCEPTED', provider_id = %s, accepted_at = now(), pieces = 1, cost = %s
WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s
"""


class Part(NamedTuple):
    """The rows of one call and their numbers."""

    ids: Sequence[int]
    phones: Sequence[str]


def call(host: str, part: Part) -> tuple[str, list[str]]:
    """URL and headers of one signed SendSms to all numbers of a part."""
    query = (
        f"OutId={part.ids[0]:012x}&PhoneNumbers={'%2C'.join(part.phones)}&SignName={SIGN_NAME}"
        "&TemplateCode=SMS_100000001"
    )
    return signed(host, query)


def parts(ids: Sequence[int], first: int, size: int) -> list[Part]:
    """The rows in calls of at most `size`, with the numbers of the people from `first` on."""
    phones = [person(first + place).phone for place in range(len(ids))]
    return [Part(ids[start : start + size], phones[start : start + size]) for start in range(0, len(ids), size)]


class Calls:
    """The calls of one process, at most IN_FLIGHT at once."""

    def __init__(self, host: str, waiting: Sequence[Part]) -> None:
        self.host = host
        self.waiting = list(waiting[::-1])
        self.multi = pycurl.CurlMulti()
        self.free = [Line() for _place in range(IN_FLIGHT)]
        self.running: dict[pycurl.Curl, tuple[Line, Part]] = {}

    def drive(self) -> None:
        """Begins what may begin and moves bytes."""
        while self.waiting and self.free:
            line, part = self.free.pop(), self.waiting.pop()
            curl = line.load(*call(self.host, part))
            self.running[curl] = line, part
            self.multi.add_handle(curl)
        self.multi.perform()

    def accepted(self) -> list[tuple[Part, str]]:
        """What was answered, with the provider's id. Raises RuntimeError where a call was not accepted."""
        done = []
        _left, finished, failed = self.multi.info_read()
        for curl in finished:
            line, part = self.running.pop(curl)
            self.multi.remove_handle(curl)
            if not line.accepted():
                raise RuntimeError("a call was refused")
            done.append((part, json.loads(b"".join(line.heard))["BizId"]))
            self.free.append(line)
        if failed:
            raise RuntimeError(f"a call failed: {failed[0][2]}")
        return done


def send_all(host: str, waiting: Sequence[Part], cursor: Any) -> None:
    """Makes all calls and writes what came of each, the next calls under way meanwhile."""
    calls = Calls(host, waiting)
    calls.drive()
    while calls.running:
        calls.multi.perform()
        done = calls.accepted()
        if not done:
            calls.multi.select(0.05)
            continue
        calls.drive()
        for part, provider_id in done:
            ids = "{" + ",".join(map(str, part.ids)) + "}"
            cursor.execute(RESULT, [provider_id, PRICE, ids, part.ids[0], part.ids[-1]])


if __name__ == "__main__":
    port, first, count, size = map(int, sys.argv[1:5])
    with closing(connect(os.environ["DATABASE_URL"])) as connection, connection.cursor() as held:
        held.execute(ROWS, [first, count])
        rows = parts([row[0] for row in held.fetchall()], first, size)
        when_told(lambda: send_all(f"127.0.0.1:{port}", rows, held))
