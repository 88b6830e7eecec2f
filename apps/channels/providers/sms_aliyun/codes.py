"""Aliyun's words in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown

_BALANCE = "The account has no balance, no package or is suspended."
_KEY = "The access key is not accepted."
_CLOCK = "This machine's clock is more than 15 minutes off."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
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
    Rejected("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", "The template is not for mainland numbers."),
    Rejected("isv.SMS_TEST_NUMBER_LIMIT", "A test signature reaches registered test numbers only."),
    Rejected("isv.MOBILE_COUNT_OVER_LIMIT", "Too many numbers in one call.", "call"),
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
    Misconfigured("isv.EXTEND_CODE_ERROR", "The extension code of the account is not valid."),
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
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}

# SendStatus of QuerySendDetails; "accepted" stands for "the provider has it and waits for the carrier"
STATES: dict[str, Literal["accepted", "failed", "delivered"]] = {"1": "accepted", "2": "failed", "3": "delivered"}
