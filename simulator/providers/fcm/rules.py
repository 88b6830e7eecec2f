"""What a message of FCM may look like, and what is said where it does not."""

import json
import re
from collections.abc import Mapping
from typing import Any

FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
TOKEN = re.compile(r"[A-Za-z0-9_:-]{20,512}")
SECONDS = re.compile(r"(\d{1,9})(?:\.\d{1,9})?s")
LONGEST_TTL_S = 28 * 86400
MOST_BYTES = 4096
TARGETS = ("token", "fid", "topic", "condition")
MESSAGE = frozenset((*TARGETS, "name", "data", "notification", "android", "webpush", "apns", "fcm_options"))
NOTIFICATION = frozenset(("title", "body", "image"))
ANDROID = frozenset(
    (
        "collapse_key", "priority", "ttl", "restricted_package_name", "data", "notification", "fcm_options",
        "direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok",
    )
)  # fmt: skip
ANDROID_NOTIFICATION = frozenset(
    (
        "title", "body", "icon", "color", "sound", "tag", "click_action", "body_loc_key", "body_loc_args",
        "title_loc_key", "title_loc_args", "channel_id", "ticker", "sticky", "event_time", "local_only",
        "notification_priority", "default_sound", "default_vibrate_timings", "default_light_settings",
        "vibrate_timings", "visibility", "notification_count", "light_settings", "image", "proxy",
    )
)  # fmt: skip
APNS = frozenset(("headers", "payload", "fcm_options", "live_activity_token"))
STATUSES = {
    "UNREGISTERED": (404, "NOT_FOUND"),
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT"),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
    "UNAVAILABLE": (503, "UNAVAILABLE"),
    "INTERNAL": (500, "INTERNAL"),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED"),
}
PLAIN = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429}


class FcmError(Exception):
    """The message is refused: a word of FcmError or of every Google API, and the field that is to blame."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field

    def document(self) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body."""
        details: list[dict[str, Any]] = []
        if self.code in STATUSES:
            status, word = STATUSES[self.code]
            if not self.field or self.field in ("message.token", "message.fid"):
                details.append({"@type": FCM, "errorCode": self.code})
        else:
            status, word = PLAIN.get(self.code, 400), self.code
        if self.field:
            violations = [{"field": self.field, "description": self.message}]
            details.append({"@type": BAD_REQUEST, "fieldViolations": violations})
        error = {"code": status, "message": self.message, "status": word}
        return status, {"error": error | ({"details": details} if details else {})}


def _wrong(field: str, words: str) -> FcmError:
    return FcmError("INVALID_ARGUMENT", words, field)


def _object(value: Any, field: str, names: frozenset[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, f"Invalid value at '{field}', an object is needed")
    for name in value:
        if names is not None and name not in names:
            raise _wrong(
                field, f"Invalid JSON payload received. Unknown name \"{name}\" at '{field}': Cannot find field."
            )
    return value


def check_message(body: Any) -> tuple[dict[str, Any], str, bool]:
    """Return the message, the device it is for and whether it is a dry run; FcmError says what is wrong."""
    whole = _object(body, "body", frozenset(("message", "validate_only")))
    message = _object(whole.get("message"), "message", MESSAGE)
    given = [name for name in TARGETS if name in message]
    if len(given) != 1 or given[0] not in ("token", "fid"):
        raise _wrong("message", "Recipient of the message is not set.")
    address = message[given[0]]
    if not isinstance(address, str) or not TOKEN.fullmatch(address):
        message_field = f"message.{given[0]}"
        raise _wrong(message_field, "The registration token is not a valid FCM registration token")
    data = _texts(message.get("data", {}), "message.data")
    for name in data:
        if name in ("from", "message_type") or name.startswith(("google", "gcm")):
            raise _wrong("message.data", f"Invalid data payload key: {name}")
    shown = _texts(message.get("notification", {}), "message.notification", NOTIFICATION)
    if len(json.dumps([shown, data], ensure_ascii=False).encode()) > MOST_BYTES:
        raise _wrong("message", "Message payload is too big")
    _android(_object(message.get("android", {}), "message.android", ANDROID))
    apns = _object(message.get("apns", {}), "message.apns", APNS)
    _texts(apns.get("headers", {}), "message.apns.headers")
    _object(_object(apns.get("payload", {}), "message.apns.payload").get("aps", {}), "message.apns.payload.aps")
    return message, address, whole.get("validate_only") is True


def _texts(value: Any, field: str, names: frozenset[str] | None = None) -> Mapping[str, str]:
    for name, text in _object(value, field, names).items():
        if not isinstance(text, str):
            raise _wrong(f"{field}[{name}]", f"Invalid value at '{field}', a string is needed")
    found: Mapping[str, str] = value
    return found


def _android(part: dict[str, Any]) -> None:
    ttl = SECONDS.fullmatch(str(part.get("ttl", "0s")))
    if not ttl or int(ttl[1]) > LONGEST_TTL_S:
        raise _wrong("message.android.ttl", "Invalid value at 'message.android.ttl'")
    if str(part.get("priority", "normal")).lower() not in ("normal", "high"):
        raise _wrong("message.android.priority", "Invalid value at 'message.android.priority'")
    _object(part.get("notification", {}), "message.android.notification", ANDROID_NOTIFICATION)
