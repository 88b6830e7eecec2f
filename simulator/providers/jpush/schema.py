"""Which fields a JPush request may have, and the sizes it may reach.

The names come from the contract sheet; those it does not list (marked K in the README) are taken from
common knowledge of the API, so that a correct request is not refused as unknown.
"""

import json
import re
from typing import Any

PLATFORMS = frozenset(("android", "ios", "quickapp", "hmos", "winphone"))
TOP = frozenset(
    [
        "cid",
        "platform",
        "audience",
        "notification",
        "message",
        "options",
        "callback",
        "sms_message",
        "notification_3rd",
        "inapp_message",
        "live_activity",
    ]
)
SINGLE = frozenset(
    ["platform", "target", "notification", "message", "options", "callback", "sms_message", "notification_3rd"]
)
AUDIENCE = frozenset(["tag", "tag_and", "tag_not", "alias", "registration_id", "segment", "abtest", "file"])
NOTIFICATION = {
    "android": frozenset(
        [
            "alert",
            "title",
            "builder_id",
            "channel_id",
            "category",
            "priority",
            "style",
            "alert_type",
            "big_text",
            "inbox",
            "big_pic_path",
            "extras",
            "large_icon",
            "small_icon_uri",
            "icon_bg_color",
            "intent",
            "uri_activity",
            "uri_action",
            "badge_add_num",
            "badge_set_num",
            "badge_class",
            "sound",
            "show_begin_time",
            "show_end_time",
            "display_foreground",
        ]
    ),
    "ios": frozenset(
        [
            "alert",
            "sound",
            "badge",
            "content-available",
            "mutable-content",
            "category",
            "extras",
            "thread-id",
            "interruption-level",
            "relevance-score",
            "filter-criteria",
            "target-content-id",
        ]
    ),
    "hmos": frozenset(
        [
            "alert",
            "title",
            "category",
            "large_icon",
            "intent",
            "badge_add_num",
            "badge_set_num",
            "test_message",
            "receipt_id",
            "extras",
            "style",
            "inbox",
            "push_type",
            "sound",
            "sound_duration",
        ]
    ),
    "quickapp": frozenset(["alert", "title", "page", "extras"]),
    "winphone": frozenset(["alert", "title", "_open_page", "extras"]),
    "voip": frozenset(),
}
MESSAGE = frozenset(["msg_content", "title", "content_type", "extras"])
OPTIONS = frozenset(
    [
        "sendno",
        "time_to_live",
        "override_msg_id",
        "apns_production",
        "apns_collapse_id",
        "big_push_duration",
        "third_party_channel",
        "classification",
        "target_event",
        "test_model",
        "notification_3rd_ver",
        "cache",
        "business_operation_code",
    ]
)
CALLBACK = frozenset(["url", "params", "type"])
REGISTRATION_ID = re.compile(r"[0-9A-Za-z_-]{8,64}")
ALIAS = re.compile(r"[\w@!#$&*+=.|]+")
LIMITS = {"registration_id": 1000, "alias": 1000, "tag": 20, "tag_and": 20, "tag_not": 20, "segment": 1, "abtest": 1}
LABEL_BYTES = 40
ANDROID_BYTES, IOS_BYTES, IOS_MESSAGE_BYTES = 4000, 2000, 4000
LONGEST_LIFE = 10 * 86400


class PushError(Exception):
    """The push is refused with JPush's number and the HTTP status that belongs to it."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def check_push(body: Any) -> None:
    """Check a /v3/push body; PushError 1002 missing, 1003 bad value, 1005 too long, 1009 unknown key."""
    _object(body, "body")
    _known(body, TOP, "")
    _platform(_need(body, "platform"))
    _audience(_need(body, "audience"))
    check_content(body)


def check_single(body: Any) -> None:
    """Check one entry of a batch-single pushlist."""
    _object(body, "pushlist entry")
    _known(body, SINGLE, "pushlist.")
    _platform(_need(body, "platform"))
    if not isinstance(_need(body, "target"), str) or not body["target"]:
        raise PushError(1003, "target must be a string")
    check_content(body)


def check_content(body: dict[str, Any]) -> None:
    """Check what is shared by all kinds of pushes: notification, message, options, callback, sizes."""
    if "notification" not in body and "message" not in body:
        raise PushError(1002, "notification or message is needed")
    if "notification" in body:
        _notification(body["notification"])
    if "message" in body:
        message = _object(body["message"], "message")
        _known(message, MESSAGE, "message.")
        if not isinstance(_need(message, "msg_content"), str):
            raise PushError(1003, "msg_content must be a string")
    if "options" in body:
        _options(_object(body["options"], "options"))
    if "callback" in body:
        callback = _object(body["callback"], "callback")
        _known(callback, CALLBACK, "callback.")
        if callback.get("type", 3) not in (1, 2, 3, 8, 9, 10, 11):
            raise PushError(1003, "callback.type is not a known combination")
    _sizes(body)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PushError(1003, f"{name} must be an object")
    return value


def _known(value: dict[str, Any], names: frozenset[str], where: str) -> None:
    for name in value:
        if name not in names:
            raise PushError(1009, f"unexpected key {where}{name}")


def _need(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise PushError(1002, f"missing {name}")
    return body[name]


def _platform(value: Any) -> None:
    if value == "all":
        return
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(name, str) and name in PLATFORMS for name in value)
    ):
        raise PushError(1003, "platform must be all or a list of known platforms")


def _audience(value: Any) -> None:
    if value == "all":
        return
    _known(_object(value, "audience"), AUDIENCE, "audience.")
    if not value:
        raise PushError(1002, "audience is empty")
    for name, labels in value.items():
        if name != "file":
            _labels(name, labels)


def _labels(name: str, labels: Any) -> None:
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
        raise PushError(1003, f"audience.{name} must be a list of strings")
    if len(labels) > LIMITS[name]:
        raise PushError(1003, f"audience.{name} has more than {LIMITS[name]} values")
    for label in labels:
        if name == "registration_id":
            good = REGISTRATION_ID.fullmatch(label) is not None
        else:
            good = 0 < len(label.encode()) <= LABEL_BYTES and (name != "alias" or ALIAS.fullmatch(label) is not None)
        if not good:
            raise PushError(1003, f"audience.{name} has an illegal value")


def _notification(value: Any) -> None:
    _known(_object(value, "notification"), frozenset(NOTIFICATION) | {"alert"}, "notification.")
    if not value:
        raise PushError(1002, "notification is empty")
    if "alert" in value and not isinstance(value["alert"], str):
        raise PushError(1003, "notification.alert must be a string")
    for platform in set(value) - {"alert", "voip"}:
        part = _object(value[platform], f"notification.{platform}")
        _known(part, NOTIFICATION[platform], f"notification.{platform}.")
        alert = part.get("alert", value.get("alert"))
        if alert is None:
            raise PushError(1002, f"notification.{platform}.alert is missing")
        if not isinstance(alert, str) and not (platform == "ios" and isinstance(alert, dict)):
            raise PushError(1003, f"notification.{platform}.alert has the wrong type")
        _object(part.get("extras", {}), f"notification.{platform}.extras")


def _options(options: dict[str, Any]) -> None:
    _known(options, OPTIONS, "options.")
    _number(options, "sendno", -(2**31), 2**31 - 1)
    if options.get("sendno") == 0:
        raise PushError(1003, "options.sendno must not be 0")
    _number(options, "time_to_live", 0, LONGEST_LIFE)
    _number(options, "big_push_duration", 1, 1400)
    _number(options, "classification", 0, 1)
    if not isinstance(options.get("apns_production", True), bool):
        raise PushError(1003, "options.apns_production must be true or false")
    if len(str(options.get("apns_collapse_id", "")).encode()) > 64:
        raise PushError(1003, "options.apns_collapse_id is longer than 64 bytes")
    _object(options.get("third_party_channel", {}), "options.third_party_channel")


def _number(options: dict[str, Any], name: str, low: int, high: int) -> None:
    value = options.get(name, 1)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise PushError(1003, f"options.{name} is out of range")


def _sizes(body: dict[str, Any]) -> None:
    notification, message = body.get("notification", {}), body.get("message", {})
    general = {"alert": notification["alert"]} if "alert" in notification else {}
    android = _bytes(notification.get("android", general)) + _bytes(message)
    if android > ANDROID_BYTES or _bytes(message) > IOS_MESSAGE_BYTES:
        raise PushError(1005, "Android notification and message are longer than 4000 bytes")
    if _bytes(notification.get("ios", general)) > IOS_BYTES:
        raise PushError(1005, "the ios object is longer than 2000 bytes")


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) if value else 0
