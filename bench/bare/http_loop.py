"""`python -m bench.bare.http_loop PORT FIRST COUNT IN_FLIGHT`: the limit of HTTP out.

A CurlMulti loop that builds, signs and reads every call as a sender must, from values in memory: no database, no
sealing, no rules, no record of what was sent. Written apart from the product's client; the harness compares the bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pycurl

from bench.child import when_told
from bench.people import Person, person

KEY_ID, SECRET = "benchkeyid", b"benchkeysecret"
EMPTY = hashlib.sha256(b"").hexdigest()
SIGNED = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
KEPT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
WRITTEN = [chr(byte) if byte in KEPT else f"%{byte:02X}" for byte in range(256)]
SIGN_NAME = "".join(map(WRITTEN.__getitem__, "示例银行".encode()))
FIXED = [
    "Content-Type:",
    "Expect:",
    f"x-acs-content-sha256: {EMPTY}",
    "x-acs-action: SendSms",
    "x-acs-version: 2017-05-25",
]
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def call(host: str, number: int, one: Person) -> tuple[str, list[str]]:
    """URL and headers of one signed SendSms."""
    params = encode({"name": one.name, "city": one.city, "balance": one.money})
    query = (
        f"OutId={number:012x}&PhoneNumbers={one.phone}&SignName={SIGN_NAME}&TemplateCode=SMS_100000001"
        f"&TemplateParam={''.join(map(WRITTEN.__getitem__, params.encode()))}"
    )
    return signed(host, query)


def signed(host: str, query: str) -> tuple[str, list[str]]:
    """URL and headers of a SendSms with this query, whose names are in alphabetical order."""
    date, nonce = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", secrets.token_hex(16)
    canonical = (
        f"POST\n/\n{query}\nhost:{host}\nx-acs-action:SendSms\nx-acs-content-sha256:{EMPTY}\nx-acs-date:{date}\n"
        f"x-acs-signature-nonce:{nonce}\nx-acs-version:2017-05-25\n\n{SIGNED}\n{EMPTY}"
    )
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(SECRET, text.encode(), "sha256").hex()
    authorization = f"Authorization: ACS3-HMAC-SHA256 Credential={KEY_ID},SignedHeaders={SIGNED},Signature={signature}"
    headers = [*FIXED, f"x-acs-date: {date}", f"x-acs-signature-nonce: {nonce}", authorization]
    return f"http://{host}/?{query}", headers


class Line:
    """One easy handle and what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.curl = pycurl.Curl()
        self.curl.setopt(pycurl.NOSIGNAL, 1)
        self.curl.setopt(pycurl.USERAGENT, "UMS")
        self.curl.setopt(pycurl.POST, 1)
        self.curl.setopt(pycurl.POSTFIELDS, b"")
        self.curl.setopt(pycurl.WRITEFUNCTION, self.heard.append)

    def load(self, url: str, headers: list[str]) -> pycurl.Curl:
        self.heard.clear()
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        return self.curl

    def accepted(self) -> bool:
        said = json.loads(b"".join(self.heard))
        return self.curl.getinfo(pycurl.RESPONSE_CODE) == 200 and said["Code"] == "OK" and bool(said["BizId"])


def send_all(host: str, rows: list[tuple[int, Person]], in_flight: int) -> dict[str, Any]:
    """Sends all rows; how many were accepted."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
    free = [Line() for _place in range(in_flight)]
    running: dict[pycurl.Curl, Line] = {}
    waiting: Iterator[tuple[int, Person]] = iter(rows)
    accepted = 0
    more = True
    while more or running:
        while more and free:
            row = next(waiting, None)
            if row is None:
                more = False
                break
            line = free.pop()
            curl = line.load(*call(host, *row))
            running[curl] = line
            multi.add_handle(curl)
        multi.perform()
        accepted += _harvest(multi, running, free)
        if running and (not free or not more):
            multi.select(0.05)
    return {"accepted": accepted}


def _harvest(multi: Any, running: dict[pycurl.Curl, Line], free: list[Line]) -> int:
    accepted, left = 0, 1
    while left:
        left, finished, failed = multi.info_read(256)
        for curl in [*finished, *(one[0] for one in failed)]:
            line = running.pop(curl)
            multi.remove_handle(curl)
            accepted += curl not in {one[0] for one in failed} and line.accepted()
            free.append(line)
    return accepted


if __name__ == "__main__":
    port, first, count, in_flight = map(int, sys.argv[1:5])
    people = [(number, person(number)) for number in range(first, first + count)]
    when_told(lambda: send_all(f"127.0.0.1:{port}", people, in_flight))
