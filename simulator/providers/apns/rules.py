"""What Apple looks at before it takes a notification: the provider's token, the headers, the payload."""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PATH = re.compile(r"/3/device/([^/]*)")
TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
PUSH_TYPES = frozenset(
    (
        "alert", "background", "location", "voip", "complication", "fileprovider", "mdm", "liveactivity", "pushtotalk",
        "widgets", "controls",
    )
)  # fmt: skip
OUR_HEADERS = ("authorization", "apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-collapse-id")
MOST_BYTES, MOST_VOIP_BYTES, MOST_COLLAPSE_BYTES = 4096, 5120, 64
TOKEN_LIFE_S, CLOCKS_APART_S = 3600, 300
STATUSES = (
    {
        "BadPath": 404,
        "MethodNotAllowed": 405,
        "Unregistered": 410,
        "ExpiredToken": 410,
        "PayloadTooLarge": 413,
        "TooManyRequests": 429,
        "TooManyProviderTokenUpdates": 429,
        "InternalServerError": 500,
        "ServiceUnavailable": 503,
        "Shutdown": 503,
    }
    | dict.fromkeys(("ExpiredProviderToken", "InvalidProviderToken", "MissingProviderToken", "Forbidden"), 403)
    | dict.fromkeys(("BadCertificate", "BadCertificateEnvironment", "UnrelatedKeyIdInToken"), 403)
    | {"BadEnvironmentKeyIdInToken": 403}
)


class Refused(Exception):
    """The notification is refused with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def status(self) -> int:
        return STATUSES.get(self.reason, 400)


class Request(NamedTuple):
    """One request as it came over a stream; header names in lower case, in their order."""

    headers: Sequence[tuple[str, str]]
    body: bytes

    def one(self, name: str) -> str:
        """Return the value of a header, empty if there is none."""
        return next((value for held, value in self.headers if held == name), "")


class Notification(NamedTuple):
    """What passed every check."""

    address: str
    topic: str
    apns_id: str
    payload: dict[str, Any]


def check_notification(request: Request, topics: frozenset[str]) -> Notification:
    """Check path, headers and payload; Refused says what is wrong."""
    if request.one(":method") != "POST":
        raise Refused("MethodNotAllowed")
    path = PATH.fullmatch(request.one(":path"))
    if path is None:
        raise Refused("BadPath")
    counted = Counter(name for name, _value in request.headers)
    if any(counted[name] > 1 for name in (*OUR_HEADERS, "apns-id")):
        raise Refused("DuplicateHeaders")
    _check_headers(request, topics)
    if not path[1]:
        raise Refused("MissingDeviceToken")
    if not TOKEN.fullmatch(path[1]):
        raise Refused("BadDeviceToken")
    payload = _payload(request.body, request.one("apns-push-type"))
    return Notification(path[1].lower(), request.one("apns-topic"), request.one("apns-id"), payload)


def _check_headers(request: Request, topics: frozenset[str]) -> None:
    given = dict(request.headers)
    if given.get("apns-push-type") not in PUSH_TYPES:
        raise Refused("InvalidPushType")
    if "apns-topic" not in given:
        raise Refused("MissingTopic")
    if given["apns-topic"] not in topics:
        raise Refused("TopicDisallowed" if re.fullmatch(r"[\w.-]+", given["apns-topic"]) else "BadTopic")
    if given.get("apns-priority", "10") not in ("1", "5", "10"):
        raise Refused("BadPriority")
    if not re.fullmatch(r"\d{1,12}", given.get("apns-expiration", "0")):
        raise Refused("BadExpirationDate")
    if len(given.get("apns-collapse-id", "").encode()) > MOST_COLLAPSE_BYTES:
        raise Refused("BadCollapseId")
    if "apns-id" in given and not UUID.fullmatch(given["apns-id"]):
        raise Refused("BadMessageId")


def _payload(body: bytes, push_type: str) -> dict[str, Any]:
    if len(body) > (MOST_VOIP_BYTES if push_type == "voip" else MOST_BYTES):
        raise Refused("PayloadTooLarge")
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
        raise Refused("PayloadEmpty")
    return payload


def read_token(authorization: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Return header, claims, signed text and raw signature of a bearer's token; Refused if it cannot be read."""
    if not authorization:
        raise Refused("MissingProviderToken")
    kind, _, token = authorization.partition(" ")
    try:
        head, body, signature = token.split(".")
        header, claims, raw = json.loads(_base64url(head)), json.loads(_base64url(body)), _base64url(signature)
    except (ValueError, binascii.Error):
        raise Refused("InvalidProviderToken") from None
    if kind.lower() != "bearer" or not isinstance(header, dict) or not isinstance(claims, dict):
        raise Refused("InvalidProviderToken")
    return header, claims, f"{head}.{body}".encode(), raw


def check_token(
    key: ec.EllipticCurvePublicKey, header: dict[str, Any], claims: dict[str, Any], text: bytes, raw: bytes, now: float
) -> int:
    """Check algorithm, signature and age; return when it was made. Refused says what is wrong."""
    if header.get("alg") != "ES256" or len(raw) != 64:
        raise Refused("InvalidProviderToken")
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("InvalidProviderToken") from None
    made = claims.get("iat")
    if not isinstance(made, int) or made > now + CLOCKS_APART_S:
        raise Refused("InvalidProviderToken")
    if made + TOKEN_LIFE_S < now:
        raise Refused("ExpiredProviderToken")
    return made


def _base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
