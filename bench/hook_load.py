"""`python -m bench.hook_load PORT DOUBLED`: a provider that posts every delivery's receipt to the hook, eight at a time.

DOUBLED in a hundred are told twice, all shuffled. The bodies are made before, and the web server is warm: it took
WARM_UP bodies without a report.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing

import pycurl

from bench.child import when_told
from bench.databases import connect
from bench.load import run
from bench.reports import bodies

WARM_UP = 32


def prepared(port: int, doubled: int) -> list[pycurl.Curl]:
    """One POST for each body, ready to go."""
    with closing(connect(os.environ["DATABASE_URL"])) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT code, hook_token FROM ums_channels_channelaccount WHERE code = 'sms'")
        url = "http://127.0.0.1:{}/hooks/{}/{}".format(port, *cursor.fetchone())
        cursor.execute("SELECT id FROM campaigns_delivery ORDER BY id")
        ids = [row[0] for row in cursor.fetchall()]
    run([_handle(url, b"[]") for _number in range(WARM_UP)])
    return [_handle(url, body) for body in bodies(ids, doubled)]


def _handle(url: str, body: bytes) -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.POSTFIELDS, body)
    curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json;charset=UTF-8", "Expect:"])
    curl.setopt(pycurl.WRITEFUNCTION, len)
    return curl


if __name__ == "__main__":
    calls = prepared(int(sys.argv[1]), int(sys.argv[2]))
    when_told(lambda: run(calls))
