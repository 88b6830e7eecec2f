"""What the interfaces of Alibaba Cloud's messaging (dysmsapi) agree on: words for refusals, windows of limits, numbers.

Decided on `Code`, never on the HTTP status alone. Marks of confidence stand in the READMEs of the kinds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from apps.channels.contract import ConfigField, HttpAnswer
from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.wire.json_answer import no_answer
from apps.channels.wire.sms_receipts import dialled

BEIJING = timezone(timedelta(hours=8))

_BALANCE = "The account has no balance, no package or is suspended."
_KEY = "The access key is not accepted."
_CLOCK = "This machine's clock is more than 15 minutes off."

COMMON_CODES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
    Throttled("isv.BUSINESS_LIMIT_CONTROL", "This number has had its share of messages for now.", scope="recipient"),
    Throttled("isv.DAY_LIMIT_CONTROL", "The account's limit for the day is reached."),
    Throttled("isv.MONTH_LIMIT_CONTROL", "The account's limit for the month is reached."),
    Throttled("Throttling", "Too many calls in this second.", timedelta(seconds=1)),
    Throttled("Throttling.User", "Too many calls of this account in this second.", timedelta(seconds=1)),
    Throttled("Throttling.Api", "Too many calls to this interface in this second.", timedelta(seconds=1)),
    Unknown("isp.SYSTEM_ERROR", "The provider had an error of its own."),
    Unknown("InternalError", "The provider had an error of its own."),
    Unknown("ServiceUnavailable", "The provider is not available."),
    Unknown("SignatureNonceUsed", "The call arrived twice; what became of the first is not told."),
    Rejected("isv.MOBILE_NUMBER_ILLEGAL", "The number is not valid."),
    Rejected("isv.SMS_TEMPLATE_ILLEGAL", "The template is not approved or does not exist.", "content"),
    Rejected("isv.SMS_SIGNATURE_ILLEGAL", "The signature is not approved or does not exist.", "content"),
    Rejected("isv.SMS_SIGN_ILLEGAL", "The signature is not approved or does not exist.", "content"),
    Rejected("isv.SIGN_STATE_ILLEGAL", "The signature is not in use.", "content"),
    Rejected("isv.SMS_SIGNATURE_SCENE_ILLEGAL", "The signature is not meant for this kind of template.", "content"),
    Rejected("isv.TEMPLATE_MISSING_PARAMETERS", "A variable of the template is missing.", "content"),
    Rejected("isv.INVALID_PARAMETERS", "A parameter is not valid.", "content"),
    Rejected("isv.INVALID_JSON_PARAM", "The variables are not valid JSON.", "content"),
    Rejected("isv.PARAM_LENGTH_LIMIT", "A variable is too long.", "content"),
    Rejected("isv.PARAM_NOT_SUPPORT_URL", "A variable may not hold a link.", "content"),
    Rejected("isv.TEMPLATE_PARAMS_ILLEGAL", "The variables do not fit the template.", "content"),
    Rejected("isv.BLACK_KEY_CONTROL_LIMIT", "A variable holds a forbidden word.", "content"),
    Rejected("isv.SMS_CONTENT_ILLEGAL", "The text holds forbidden content.", "content"),
    Misconfigured("isv.OUT_OF_SERVICE", _BALANCE),
    Misconfigured("isv.AMOUNT_NOT_ENOUGH", _BALANCE),
    Misconfigured("isv.PRODUCT_UN_SUBSCRIPT", "The SMS product is not subscribed."),
    Misconfigured("isv.PRODUCT_UNSUBSCRIBE", "The SMS product is not subscribed."),
    Misconfigured("isv.ACCOUNT_NOT_EXISTS", "The account does not exist."),
    Misconfigured("isv.ACCOUNT_ABNORMAL", "The account is in an abnormal state."),
    Misconfigured("isp.RAM_PERMISSION_DENY", "The access key has no permission to send."),
    Misconfigured("isv.DENY_IP_RANGE", "The address of this machine is not on the account's allow-list."),
    Misconfigured("InvalidAccessKeyId.NotFound", _KEY),
    Misconfigured("InvalidAccessKeyId.Inactive", _KEY),
    Misconfigured("SignatureDoesNotMatch", "The access key secret is wrong."),
    Misconfigured("InvalidTimeStamp.Expired", _CLOCK),
    Misconfigured("InvalidTimeStamp.Format", _CLOCK),
)

CREDENTIAL_FIELDS = (
    ConfigField(
        "access_key_id", "AccessKey ID", help="RAM console, Users, a user with the needed permission, AccessKey."
    ),
    ConfigField("access_key_secret", "AccessKey secret", secret=True, help="Shown once, when the key is made."),
    ConfigField(
        "base_url",
        "Endpoint",
        type="url",
        default="https://dysmsapi.aliyuncs.com",
        help="The one for every region; regional ones stand in the provider's list of endpoints.",
    ),
)
OFFSET_FIELD = ConfigField(
    "receipt_utc_offset",
    "Hours from UTC of the times in receipts",
    type="integer",
    default=8,
    required=False,
    help="They carry no zone; Beijing is 8.",
)


def new_nonce() -> str:
    """A word that no other request has."""
    return secrets.token_hex(16)


def credential_problems(config: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the fields above, beside being empty."""
    problems = {}
    url = urlsplit(str(config.get("base_url", "")))
    if config.get("base_url") and (url.scheme not in ("http", "https") or not url.netloc):
        problems["base_url"] = "Endpoint must begin with https:// and name a host."
    if any(c.isspace() for c in str(config.get("access_key_id", ""))):
        problems["access_key_id"] = "AccessKey ID may not hold blanks or line ends."
    if not -12 <= integer(config.get("receipt_utc_offset"), 8) <= 14:
        problems["receipt_utc_offset"] = "Hours from UTC must be from -12 to 14."
    return problems


def integer(value: Any, default: int) -> int:
    """The number of a setting; one far below every range where it is none."""
    try:
        return default if value in (None, "") else int(value)
    except (TypeError, ValueError):
        return -1000


def receipt_zone(config: Mapping[str, Any]) -> timezone:
    """The zone of times that carry none, by the account's setting."""
    return timezone(timedelta(hours=integer(config.get("receipt_utc_offset"), 8)))


def beginnings(codes: Any) -> tuple[str, ...]:
    """The parts of a setting that lists beginnings of codes, divided by commas."""
    return tuple(code.strip() for code in str(codes or "").split(",") if code.strip())


def plain_phone(address: str) -> str:
    """As the provider wants it: mainland numbers as 11 digits whatever their prefix, others without plus sign.

    Raises ValueError for a foreign number that the provider would take for a mainland one.
    """
    return address if len(address) == 11 and address.isdecimal() else dialled(address)


def refusal(codes: Mapping[str, Outcome], body: Mapping[str, Any], answer: HttpAnswer, recipients: int = 1) -> Outcome:
    """What an answer other than "OK" means for a call with so many recipients."""
    code = body.get("Code")
    if not isinstance(code, str) or not code or code == "OK":
        return no_answer(answer)
    outcome = codes.get(code)
    if outcome is None:
        return Unknown(code[:80], "A code that is in no table.", unmapped=True)
    if isinstance(outcome, Rejected) and outcome.scope == "recipient" and recipients > 1:
        return replace(outcome, scope="call")
    if isinstance(outcome, Throttled) and outcome.code.endswith("_LIMIT_CONTROL"):
        if recipients > 1 and outcome.scope == "recipient":
            return Rejected(code, "One of several numbers has had its share of messages for now.", "call")
        return replace(outcome, retry_after=_window(code, str(body.get("Message")), answer.headers.get("date")))
    return outcome


def _window(code: str, message: str, date: str | None) -> timedelta | None:
    """Time to the end of the limit's window: clock minute, hour, day or month in Beijing; "day" of a number is 24 h."""
    now = _server_time(date)
    if code == "isv.MONTH_LIMIT_CONTROL":
        return (_next_month(now) - now) if now else None
    if code == "isv.DAY_LIMIT_CONTROL":
        return _rest(now, timedelta(days=1))
    if "分钟" in message:
        return _rest(now, timedelta(minutes=1))
    if "小时" in message:
        return _rest(now, timedelta(hours=1))
    return timedelta(days=1)


def _server_time(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(BEIJING) if date else None
    except ValueError:
        return None


def _rest(now: datetime | None, window: timedelta) -> timedelta:
    """To the next multiple of `window` on Beijing's clock and a second more; a whole one if the time is unknown."""
    if now is None:
        return window
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return window - (now - midnight) % window + timedelta(seconds=1)


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
