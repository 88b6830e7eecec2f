"""`python -m bench.load PORT WHAT CALLS ITEMS SERIES`: calls of a business line to the API, eight at a time.

WHAT is `single` or `batch` with ITEMS messages a call. The bodies are made before; every call has a key
of its own, which begins with SERIES.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pycurl

from bench.child import when_told
from bench.databases import var_folder
from bench.people import person

IN_FLIGHT = 8
PEOPLE = 10_000
COMMON = {
    "template": "bench",
    "steps": [{"channels": [{"account": "sms"}], "mode": "first", "until": "accepted"}],
    "class": "transactional",
}
KEY_FILE = "bench-api-key"


def item(number: int) -> dict[str, Any]:
    """One message to a person, with a value of its own."""
    return {"to": {"user_id": person(number % PEOPLE).user_id}, "variables": {"balance": f"{number % 5000}.25"}}


def body(call: int, items: int) -> bytes:
    """The body of one call; `items` 0 for a single message."""
    if not items:
        return json.dumps(COMMON | item(call)).encode()
    first = call * items
    return json.dumps(COMMON | {"messages": [item(number) for number in range(first, first + items)]}).encode()


def handle(url: str, token: str, series: str, number: int, content: bytes) -> pycurl.Curl:
    """One POST, ready to go; its answer is thrown away but for the status."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.POSTFIELDS, content)
    headers = [f"Authorization: Bearer {token}", "Content-Type: application/json", "Expect:"]
    curl.setopt(pycurl.HTTPHEADER, [*headers, f"Idempotency-Key: {series}-{number}"])
    curl.setopt(pycurl.WRITEFUNCTION, len)
    return curl


def run(calls: list[pycurl.Curl]) -> dict[str, Any]:
    """All calls; how many were answered 202, and any other status."""
    multi, waiting = pycurl.CurlMulti(), calls[::-1]
    statuses: dict[str, int] = {}
    running = 0
    while waiting or running:
        while waiting and running < IN_FLIGHT:
            multi.add_handle(waiting.pop())
            running += 1
        multi.perform()
        _left, finished, failed = multi.info_read(256)
        for curl in [*finished, *(one[0] for one in failed)]:
            status = str(curl.getinfo(pycurl.RESPONSE_CODE))
            statuses[status] = statuses.get(status, 0) + 1
            multi.remove_handle(curl)
            running -= 1
        if not finished:
            multi.select(0.05)
    return {"statuses": statuses}


if __name__ == "__main__":
    port, what, count, items = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    address = f"http://127.0.0.1:{port}/api/v1/messages" + ("/batch" if what == "batch" else "")
    key = Path(var_folder() / KEY_FILE).read_text(encoding="ascii")
    series = sys.argv[5]
    prepared = [
        handle(address, key, series, call, body(call, items if what == "batch" else 0)) for call in range(count)
    ]
    when_told(lambda: run(prepared))
