"""APNs: HTTP/2 in clear and over TLS, tokens, headers, payloads, what is said of devices, ends of connections."""

import base64
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame

from tests.simulator.clients import Simulator, wait_for

KEY = ec.derive_private_key(0x1122334455667788990011223344556677889900112233445566778899001122, ec.SECP256R1())
DEVICE = "0123456789abcdef" * 4
UUID = "8f3c2a1e-0d4b-5e6f-8a9b-0c1d2e3f4a5b"
PAYLOAD = {"aps": {"alert": {"title": "审批", "body": "已通过"}}, "delivery": "d-42"}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def token(key: ec.EllipticCurvePrivateKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    parts = [
        {"alg": "ES256", "kid": "KEY1234567"} | (header or {}),
        {"iss": "TEAM123456", "iat": int(time.time())} | claims,
    ]
    text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    data_frames: int
    reset: bool = False

    @property
    def reason(self) -> str:
        return str(json.loads(self.body)["reason"]) if self.body else ""


class Client:
    """A bare HTTP/2 client: one connection, one request after another unless told otherwise."""

    def __init__(self, simulator: Simulator, tls: bool = False) -> None:
        place = simulator.ready["apns"]
        self.socket: socket.socket = socket.create_connection((place["host"], place["port"]), timeout=10)
        if tls:
            context = ssl.create_default_context(cafile=str(simulator.folder / "apns-ca.pem"))
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
            assert self.socket.selected_alpn_protocol() == "h2"  # type: ignore[attr-defined]
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.replies: dict[int, Reply] = {}
        self.done: set[int] = set()

    def ask(self, *more: tuple[str, str], body: bytes | None = None, **changes: str | None) -> int:
        """Send one good request with changes (None takes a header away); return its stream."""
        given: dict[str, str | None] = {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "127.0.0.1",
            ":path": f"/3/device/{DEVICE}",
            "authorization": f"bearer {token()}",
            "apns-topic": "com.example.ums",
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": "0",
            "apns-id": UUID,
        }
        given |= {name.replace("_", "-"): value for name, value in changes.items()}
        given[":path"], given[":method"] = given.pop("path", given[":path"]), given.pop("method", given[":method"])
        stream: int = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(name, value) for name, value in given.items() if value is not None] + list(more))
        self.h2.send_data(stream, json.dumps(PAYLOAD).encode() if body is None else body, end_stream=True)
        self.replies[stream] = Reply(0, {}, b"", 0)
        self.socket.sendall(self.h2.data_to_send())
        return stream

    def read(self, until: Callable[[], bool]) -> None:
        while not until():
            data = self.socket.recv(65536)
            assert data, "the connection ended"
            for event in self.h2.receive_data(data):
                self._take(event)
            self.socket.sendall(self.h2.data_to_send())

    def frames(self) -> list[Frame]:
        """Read to the end and return the frames alone: h2 reads nothing behind GOAWAY."""
        data, found = b"", []
        while block := self.socket.recv(65536):
            data += block
        while data:
            frame, length = Frame.parse_frame_header(memoryview(data[:9]))
            frame.parse_body(memoryview(data[9 : 9 + length]))
            found.append(frame)
            data = data[9 + length :]
        return found

    def _take(self, event: Any) -> None:
        held = self.replies.get(getattr(event, "stream_id", 0) or 0)
        if held is None:
            return
        if isinstance(event, ResponseReceived):
            headers = dict(event.headers)
            held = held._replace(status=int(headers[":status"]), headers=headers)
        elif isinstance(event, DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            held = held._replace(body=held.body + event.data, data_frames=held.data_frames + 1)
        elif isinstance(event, StreamReset):
            held = held._replace(reset=True)
        if isinstance(event, (StreamEnded, StreamReset)):
            self.done.add(event.stream_id)
        self.replies[event.stream_id] = held

    def get(self, *more: tuple[str, str], body: bytes | None = None, **changes: str | None) -> Reply:
        stream = self.ask(*more, body=body, **changes)
        self.read(lambda: stream in self.done)
        return self.replies[stream]


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Client]:
    simulator.control({"apns": {"token_update_s": 0}})
    made = Client(simulator)
    yield made
    made.socket.close()


def test_a_success_ends_in_its_headers(simulator: Simulator, client: Client) -> None:
    before = len(simulator.ledger())
    reply = client.get()
    assert (reply.status, reply.headers["apns-id"], reply.body, reply.data_frames) == (200, UUID, b"", 0)
    (line,) = simulator.ledger(before)
    assert (line["provider"], line["account"], line["pid"], line["delivery_ref"]) == (
        "apns",
        "com.example.ums",
        UUID,
        "d-42",
    )
    people = [{"id": "A1", "name": "杜萍", "apns": [DEVICE.upper()]}]
    assert simulator.call("PUT", "/_sim/people", json.dumps(people)).status == 200
    assert "已通过" in simulator.call("GET", "/_sim/phones/A1").body.decode()


def test_an_id_is_made_where_none_is_given_and_a_repeat_is_a_second_message(
    simulator: Simulator, client: Client
) -> None:
    before = len(simulator.ledger())
    ids = {client.get(apns_id=None).headers["apns-id"] for _ in range(2)}
    assert len(ids) == 2 and len(simulator.ledger()) == before + 2


def test_the_same_port_speaks_tls_to_who_trusts_its_authority(simulator: Simulator) -> None:
    simulator.control({"apns": {"token_update_s": 0}})
    secure = Client(simulator, tls=True)
    assert secure.get().status == 200
    secure.socket.close()
    place = simulator.ready["apns"]
    with socket.create_connection((place["host"], place["port"])) as raw, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")


def test_many_streams_on_one_connection(simulator: Simulator, client: Client) -> None:
    client.get()  # a connection counts when its first byte has come
    before = simulator.stats()["apns"]["connections"]
    bearer = f"bearer {token()}"
    streams = [client.ask(authorization=bearer, path=f"/3/device/{number:064x}") for number in range(200)]
    client.read(lambda: len(client.done) == 201)
    assert {client.replies[stream].status for stream in streams} == {200}
    assert simulator.stats()["apns"]["connections"] == before


REFUSED: list[tuple[dict[str, str | None], int, str]] = [
    ({"method": "GET"}, 405, "MethodNotAllowed"),
    ({"path": "/4/device/x"}, 404, "BadPath"),
    ({"path": "/3/device/"}, 400, "MissingDeviceToken"),
    ({"path": "/3/device/" + "xy" * 32}, 400, "BadDeviceToken"),
    ({"path": "/3/device/abcdef"}, 400, "BadDeviceToken"),
    ({"apns_topic": None}, 400, "MissingTopic"),
    ({"apns_topic": "com.example.other"}, 400, "TopicDisallowed"),
    ({"apns_topic": "two words"}, 400, "BadTopic"),
    ({"apns_push_type": None}, 400, "InvalidPushType"),
    ({"apns_push_type": "shout"}, 400, "InvalidPushType"),
    ({"apns_priority": "7"}, 400, "BadPriority"),
    ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
    ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
    ({"apns_id": "42"}, 400, "BadMessageId"),
    ({"authorization": None}, 403, "MissingProviderToken"),
    ({"authorization": "bearer x"}, 403, "InvalidProviderToken"),
    ({"authorization": "basic " + token()}, 403, "InvalidProviderToken"),
    ({"authorization": "bearer " + token(iat=int(time.time()) - 3700)}, 403, "ExpiredProviderToken"),
    ({"authorization": "bearer " + token(iat=int(time.time()) + 6 * 3600)}, 403, "InvalidProviderToken"),
    ({"authorization": "bearer " + token(iss="TEAM999999")}, 403, "InvalidProviderToken"),
    ({"authorization": "bearer " + token(header={"kid": "KEY9999999"})}, 403, "InvalidProviderToken"),
    ({"authorization": "bearer " + token(header={"alg": "none"})}, 403, "InvalidProviderToken"),
    ({"authorization": "bearer " + token(ec.generate_private_key(ec.SECP256R1()))}, 403, "InvalidProviderToken"),
]


@pytest.mark.parametrize(("changes", "status", "reason"), REFUSED)
def test_refusals(
    simulator: Simulator, client: Client, changes: dict[str, str | None], status: int, reason: str
) -> None:
    before = len(simulator.ledger())
    reply = client.get(**changes)
    assert (reply.status, reply.reason) == (status, reason) and len(simulator.ledger()) == before
    assert reply.headers["apns-id"]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "PayloadEmpty"),
        (b"[]", 400, "PayloadEmpty"),
        (b'{"alert":"x"}', 400, "PayloadEmpty"),
        (json.dumps({"aps": {"alert": "x" * 4096}}).encode(), 413, "PayloadTooLarge"),
    ],
)
def test_payloads(client: Client, body: bytes, status: int, reason: str) -> None:
    reply = client.get(body=body)
    assert (reply.status, reply.reason) == (status, reason)


def test_a_header_may_stand_once(client: Client) -> None:
    assert client.get(("apns-topic", "com.example.ums")).reason == "DuplicateHeaders"


def test_tokens_may_not_be_made_too_often(simulator: Simulator, client: Client) -> None:
    simulator.control({"apns": {"token_update_s": 1200}})
    simulator.call("POST", "/_sim/apns/forget_tokens", "{}")
    now = int(time.time())
    bearers = [f"bearer {token(iat=made)}" for made in (now - 1500, now - 1400, now - 300, now - 1500)]
    replies = [client.get(authorization=bearer) for bearer in bearers]
    assert [reply.status for reply in replies] == [200, 429, 200, 200]
    assert replies[1].reason == "TooManyProviderTokenUpdates"
    simulator.call("POST", "/_sim/apns/forget_tokens", "{}")


@pytest.mark.parametrize(
    ("habit", "status", "reason"), [("unknown", 410, "Unregistered"), ("mismatch", 400, "DeviceTokenNotForTopic")]
)
def test_devices_that_get_nothing(simulator: Simulator, client: Client, habit: str, status: int, reason: str) -> None:
    simulator.control({"world": {"apns": {habit: 1.0}}})
    reply = client.get()
    assert (reply.status, reply.reason) == (status, reason)
    assert (habit == "unknown") == ("timestamp" in json.loads(reply.body))


def test_a_device_may_be_asked_too_often(simulator: Simulator, client: Client) -> None:
    simulator.control({"apns": {"device_minute": 1}})
    path = "/3/device/" + "ef" * 32
    replies = [client.get(path=path) for _ in range(3)]  # three, because a minute may end in between
    assert [reply.reason for reply in replies].count("TooManyRequests") >= 1


@pytest.mark.parametrize(
    ("action", "status", "reason"),
    [
        ("500", 500, "InternalServerError"),
        ("429", 429, "TooManyRequests"),
        ("token_error", 403, "ExpiredProviderToken"),
        ({"refuse": "Shutdown"}, 503, "Shutdown"),
        ("refuse", 400, "BadDeviceToken"),
    ],
)
def test_scripts(simulator: Simulator, client: Client, action: Any, status: int, reason: str) -> None:
    simulator.control({"scripts": [{"provider": "apns", "match": "all", "do": [action]}]})
    reply = client.get()
    assert (reply.status, reply.reason) == (status, reason)


def test_a_reset_ends_one_stream_and_a_big_body_keeps_to_the_window(simulator: Simulator, client: Client) -> None:
    before = len(simulator.ledger())
    simulator.control({"scripts": [{"provider": "apns", "match": "all", "do": ["reset_after"], "times": 1}]})
    assert client.get().reset and len(simulator.ledger()) == before + 1
    assert client.get().status == 200
    simulator.control({"scripts": [{"provider": "apns", "match": "all", "do": ["bigbody"], "times": 1}]})
    assert len(client.get().body) == 2_000_000 and client.get().status == 200


def test_goaway_lets_open_streams_end(simulator: Simulator, client: Client) -> None:
    simulator.control({"scripts": [{"provider": "apns", "match": "all", "do": ["accept", "hang(0.3)"], "times": 1}]})
    before = len(simulator.ledger())
    slow = client.ask()
    wait_for(lambda: len(simulator.ledger()) > before, "the message in the ledger")
    assert simulator.call("POST", "/_sim/apns/goaway", "{}").json["ended"] >= 1
    frames = client.frames()
    assert [type(one) for one in frames if one.stream_id in (0, slow)][-2:] == [GoAwayFrame, HeadersFrame]
    assert frames[-1].stream_id == slow and "END_STREAM" in frames[-1].flags


def test_other_keys(simulator: Simulator, client: Client) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    held = {"team": "TEAM2", "key_id": "KEY2", "public_key": pem, "topics": ["com.example.two"]}
    simulator.control({"apns": {"keys": [held]}})
    bearer = f"bearer {token(other, {'kid': 'KEY2'}, iss='TEAM2')}"
    assert client.get(authorization=bearer, apns_topic="com.example.two").status == 200
    assert client.get(authorization=bearer).reason == "TopicDisallowed"
    assert simulator.call("PUT", "/_sim/ctl", json.dumps({"apns": {"keys": [{"public_key": "x"}]}})).status == 400
