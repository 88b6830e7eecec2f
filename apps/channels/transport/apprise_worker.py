"""A process of its own that runs Apprise: one message a line in, one word a line out. It knows no database and no secret.

Apprise sleeps, blocks, follows redirects and brings a plug-in for some 170 services, so it is kept away from everything
else. Python's audit hooks hold its sockets to the egress rule, whichever library opens them, and forbid other programs.
The words: "sent"; "unreadable" for a URL that no plug-in takes; "not_begun" where surely no request left; "forbidden" where
the rule let none out; "refused" where every HTTP answer was a 4xx, so that nothing was taken; "failed" for all else.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import apprise
import requests.adapters
import urllib3.exceptions

from apps.channels.transport.egress import Egress

CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "syslog.", "pty.")
NOT_CONNECTED, NO_ANSWER = -1, 0


class Watch:
    """What was seen of the calls of one message: connections begun and forbidden, and a status for each HTTP exchange."""

    def __init__(self, egress: Egress) -> None:
        self.egress = egress
        self.begun = self.forbidden = 0
        self.statuses: list[int] = []

    def clear(self) -> None:
        self.begun = self.forbidden = 0
        self.statuses = []

    def audit(self, event: str, values: tuple[Any, ...]) -> None:
        """Stands at every connection and every start of a program of this process; what it raises stops them."""
        if event in CONNECTS:
            self._connection(values[1] if len(values) > 1 else None)
        elif event.startswith(FORBIDDEN):
            raise PermissionError("no other program")

    def _connection(self, address: object) -> None:
        host = address[0] if isinstance(address, tuple) and address else None
        if not isinstance(host, str) or not self.egress.permits(host):
            self.forbidden += 1
            raise PermissionError("not permitted")
        self.begun += 1

    def exchange(self, send: Any) -> Any:
        """`send` of the HTTP adapter of requests, with its end written down."""

        def watched(adapter: Any, *values: Any, **named: Any) -> Any:
            try:
                answer = send(adapter, *values, **named)
            except requests.exceptions.ConnectionError as error:
                reason = getattr(error.args[0] if error.args else None, "reason", None)
                unconnected = isinstance(reason, urllib3.exceptions.NewConnectionError)
                self.statuses.append(NOT_CONNECTED if unconnected else NO_ANSWER)
                raise
            except Exception:
                self.statuses.append(NO_ANSWER)
                raise
            self.statuses.append(answer.status_code)
            return answer

        return watched


def word(sent: bool, begun: int, forbidden: int, statuses: Sequence[int]) -> str:
    """The word for one message from what was seen of it."""
    if sent:
        return "sent"
    if not begun or (statuses and all(status == NOT_CONNECTED for status in statuses)):
        return "forbidden" if forbidden and not begun else "not_begun"
    if statuses and all(400 <= status < 500 for status in statuses):
        return "refused"
    return "failed"


def deliver(given: dict[str, str], watch: Watch) -> str:
    """Send one message; never raises."""
    watch.clear()
    try:
        target = apprise.Apprise.instantiate(given["url"])
        if target is None:
            return "unreadable"
        sent = bool(target.notify(title=given["title"], body=given["body"]))
    except Exception:
        sent = False
    return word(sent, watch.begun, watch.forbidden, watch.statuses)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a plug-in prints is no answer
    watch = Watch(Egress([ipaddress.ip_network(one) for one in json.loads(sys.argv[1])]))
    requests.adapters.HTTPAdapter.send = watch.exchange(requests.adapters.HTTPAdapter.send)  # type: ignore[method-assign]
    sys.addaudithook(watch.audit)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(deliver(json.loads(line), watch), file=answers, flush=True)


if __name__ == "__main__":
    main()
