"""`python -m bench.otp_load PORT FIRST COUNT PER_SECOND`: one-time passwords over the API, one call at a time, at a steady pace.

Number `n` goes to 188 and n in eight digits. Answers with when each call began and when it was accepted (time.monotonic).
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.child import when_told
from bench.databases import var_folder
from bench.load import KEY_FILE

VALUES = {"name": "王先生", "city": "上海", "balance": "12.50"}


def phone(number: int) -> str:
    """The number that the sink watches for."""
    return f"188{number:08d}"


def body(number: int) -> bytes:
    """One password, to a bare address."""
    steps = [{"channels": [{"account": "sms"}], "mode": "first", "until": "accepted"}]
    to = {"address_kind": "phone", "address": phone(number)}
    return json.dumps(
        {"template": "bench", "steps": steps, "class": "otp", "to": to, "variables": VALUES}, ensure_ascii=False
    ).encode()


def run(port: int, first: int, count: int, per_second: float) -> dict[str, Any]:
    """All calls; `calls` as (number, began, accepted)."""
    key = Path(var_folder() / KEY_FILE).read_text(encoding="ascii")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    calls, start = [], time.monotonic()
    for number in range(first, first + count):
        time.sleep(max(0.0, start + (number - first) / per_second - time.monotonic()))
        began = time.monotonic()
        link.request("POST", "/api/v1/messages", body(number), {**headers, "Idempotency-Key": f"otp-{number}"})
        answer = link.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise SystemExit(f"the API answered {answer.status}: {said[:300]!r}")
        calls.append((phone(number), began, time.monotonic()))
    return {"calls": calls}


if __name__ == "__main__":
    port, first, count = (int(word) for word in sys.argv[1:4])
    when_told(lambda: run(port, first, count, float(sys.argv[4])))
