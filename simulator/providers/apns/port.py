"""APNs as a provider: its own port, HTTP/2 over TLS (ALPN h2) and in clear by prior knowledge, one device a request.

Source of every rule: the project's contract sheet for this provider; see README.md beside this for what is unconfirmed.
"""

import asyncio
import base64
import json
import socket
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from simulator.exchange import BIG_BODY, LONGEST_HANG
from simulator.outside import Arrival, Outside, spawn
from simulator.posting import Poster
from simulator.provider import Message, Port, Shown
from simulator.providers.apns.certificates import server_side
from simulator.providers.apns.connection import Connection
from simulator.providers.apns.rules import Notification, Refused, Request, check_notification, check_token, read_token
from simulator.scripts import Plan
from simulator.world import SettingError

TEAM, KEY_ID, TOPIC = "TEAM123456", "KEY1234567", "com.example.ums"
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZBPjcDGKkizs+qlLohiN1Bn1hjVvp3THZs1sRQKV/uldzpzgVXsKjxzvXGY/Niz//"
    "JEOMJSvyCu7x6CpKwtr2w=="
)
TLS_HANDSHAKE = 0x16


class Apns(Port):
    """The app push provider of Apple."""

    name = "apns"
    channels = {"app": "app"}
    settings = {"token_update_s": 1200, "streams": 1000, "device_minute": 1_000_000}
    habits = {"unknown": 0.0, "mismatch": 0.0, "offline": 0.0, "delay": [0.0, 0.2]}
    believable = {"world": {"unknown": 0.01, "offline": 0.15, "delay": [0.2, 3.0]}}
    operations = ("send",)
    default_refusal = "BadDeviceToken"
    token_error = "ExpiredProviderToken"
    lost_answer = "500"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        key = load_der_public_key(base64.b64decode(PUBLIC_KEY))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.keys: dict[tuple[str, str], ec.EllipticCurvePublicKey] = {(TEAM, KEY_ID): key}
        self.topics: dict[str, set[str]] = {TEAM: {TOPIC}}
        self.connections: set[Connection] = set()
        self.accepted_connections = 0
        self._made: dict[tuple[str, str], int] = {}
        self._minutes: dict[str, tuple[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    # --- listening

    async def start(self, host: str, port: int) -> int:
        """Listen on one port for both: a client that begins with a TLS handshake gets TLS."""
        self._tls = server_side(self.outside.state_dir)
        self._listener = socket.create_server((host, port), backlog=1024)
        self._listener.setblocking(False)
        spawn(self._tasks, self._accept())
        number: int = self._listener.getsockname()[1]
        return number

    async def _accept(self) -> None:
        assert self._listener is not None
        while True:
            connection, _address = await asyncio.get_running_loop().sock_accept(self._listener)
            spawn(self._tasks, self._welcome(connection))

    async def _welcome(self, connection: socket.socket) -> None:
        """Look at the first byte without taking it, then speak as the client does."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        connection.setblocking(False)
        loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connection)
        try:
            first = connection.recv(1, socket.MSG_PEEK)
            tls = self._tls if first and first[0] == TLS_HANDSHAKE else None
            await loop.connect_accepted_socket(self._connection, connection, ssl=tls)
        except OSError:  # no handshake came of it
            connection.close()

    def _connection(self) -> Connection:
        made = Connection(self._ask, self.connections.discard, self.switches["streams"])
        self.connections.add(made)
        self.accepted_connections += 1
        return made

    async def stop(self) -> None:
        """Stop listening, cut what is open."""
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        for connection in list(self.connections):
            connection.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- control, people and pages

    def control(self, document: dict[str, Any]) -> None:
        """Take keys {"team", "key_id", "public_key" (PEM), "topics"}, and the switches."""
        for held in document.pop("keys", []):
            try:
                key = load_pem_public_key(held["public_key"].encode())
            except (KeyError, ValueError) as wrong:
                raise SettingError("a key needs team, key_id, public_key in PEM and topics") from wrong
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise SettingError("a key is of the curve P-256")
            self.keys[(held["team"], held["key_id"])] = key
            self.topics.setdefault(held["team"], set()).update(held.get("topics", [TOPIC]))
        super().control(document)

    def act(self, operation: str, document: dict[str, Any]) -> Any:
        """Do ``goaway`` (graceful) or ``cut`` with every connection; ``forget_tokens``: the next token may be new."""
        if operation == "forget_tokens":
            return {"forgotten": [self._made.popitem()[1] for _ in list(self._made)]}
        if operation not in ("goaway", "cut"):
            return super().act(operation, document)
        ended = list(self.connections)
        for connection in ended:
            if operation == "goaway":
                connection.leave()
            else:
                connection.cut()
        return {"ended": len(ended)}

    def stats(self) -> dict[str, Any]:
        """Return how many connections there were and are."""
        return super().stats() | {"connections": self.accepted_connections, "connected": len(self.connections)}

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One place for each device token."""
        return [("app", str(token).lower()) for token in person.get("apns", ())]

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show title and text of the alert."""
        alert = arrival.content["aps"].get("alert", "")
        alert = alert if isinstance(alert, dict) else {"body": str(alert)}
        extras = [(name, str(value)) for name, value in arrival.content.items() if name not in ("aps", "delivery")]
        return Shown(str(alert.get("title", "")), str(alert.get("body", "")), fields=extras)

    # --- requests

    def _ask(self, connection: Connection, stream: int, request: Request) -> None:
        """Answer one request, or let it go wrong where a script says so."""
        self.outside.counts[self.name].calls += 1
        try:
            team = self._authenticate(request.one("authorization"), time.time())
            given = check_notification(request, frozenset(self.topics[team]))
            self._check_device(given.address, time.time())
        except Refused as refused:
            self._refuse(connection, stream, refused, request.one("apns-id"))
            return
        plan = self.outside.plan(self.name, "send", [given.address])
        apns_id = given.apns_id or str(uuid.uuid4()).upper()
        if plan.accepts:
            self._accept_one(given, apns_id, plan.returned)
        self._carry_out(connection, stream, plan, apns_id)

    def _authenticate(self, authorization: str, now: float) -> str:
        header, claims, text, raw = read_token(authorization)
        who = (str(claims.get("iss")), str(header.get("kid")))
        if who not in self.keys:
            raise Refused("InvalidProviderToken")
        made = check_token(self.keys[who], header, claims, text, raw, now)
        newest = self._made.get(who, 0)
        if newest < made < newest + self.switches["token_update_s"]:
            raise Refused("TooManyProviderTokenUpdates")
        self._made[who] = max(made, newest)
        return who[0]

    def _check_device(self, address: str, now: float) -> None:
        word = self.fate("app", address, "", now).word
        if word in ("unknown", "mismatch"):
            raise Refused("Unregistered" if word == "unknown" else "DeviceTokenNotForTopic")
        minute, count = self._minutes.get(address, (0, 0))
        count = count + 1 if minute == int(now) // 60 else 1
        if count > self.switches["device_minute"]:
            raise Refused("TooManyRequests")
        self._minutes[address] = (int(now) // 60, count)

    def _accept_one(self, given: Notification, apns_id: str, returned: bool) -> None:
        ref = str(given.payload.get("delivery", ""))
        self.take("app", given.topic, "", apns_id, [Message(given.address, ref, given.payload)], returned)

    # --- answers

    def _refuse(self, connection: Connection, stream: int, refused: Refused, apns_id: str) -> None:
        self.outside.counts[self.name].refused[refused.reason] += 1
        document: dict[str, Any] = {"reason": refused.reason}
        if refused.status == 410:
            document["timestamp"] = int(time.time() * 1000)
        headers = [(":status", str(refused.status)), ("apns-id", apns_id or str(uuid.uuid4()).upper())]
        connection.answer(stream, headers, json.dumps(document).encode())

    def _carry_out(self, connection: Connection, stream: int, plan: Plan, apns_id: str) -> None:
        well = [(":status", "200"), ("apns-id", apns_id)]
        failures = {
            "500": "InternalServerError",
            "429": "TooManyRequests",
            "refuse": plan.argument or self.default_refusal,
            "token_error": plan.argument or self.token_error,
        }
        if plan.action is None:
            connection.answer(stream, well)
        elif plan.action in failures:
            self._refuse(connection, stream, Refused(failures[plan.action]), apns_id)
        elif plan.action in ("reset_before", "reset_after"):
            connection.reset(stream)
        elif plan.action == "hang":
            seconds = min(float(plan.argument or LONGEST_HANG), LONGEST_HANG)
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, connection.answer, stream, well)
        elif plan.action == "drip":
            spawn(self._tasks, _drip(connection, stream, well, float(plan.argument or 1.0)))
        else:
            connection.answer(stream, [(":status", "200"), ("content-type", "text/html")], _spoilt(plan.action))


async def _drip(connection: Connection, stream: int, headers: list[tuple[str, str]], seconds: float) -> None:
    """Begin a body where none belongs, and send it blank by blank."""
    connection.answer(stream, headers, ends=False)
    for number in range(40):
        await asyncio.sleep(seconds)
        connection.drip(stream, b" ", ends=number == 39)


def _spoilt(action: str) -> bytes:
    if action == "bigbody":
        return b"x" * BIG_BODY
    return "成功".encode("utf-16-le") if action == "wrong_charset" else b"<html><body>502 Bad Gateway</bo"
