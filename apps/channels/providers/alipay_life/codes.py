"""Alipay's words in ours: `sub_code` first, then the class of `code`. Marks of confidence stand in README.md."""

from __future__ import annotations

from datetime import timedelta

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown

_AUTHORISATION = "The merchant's authorisation is not valid or has ended."
_MISSING = "A required parameter is missing."
_SIGNATURE = "The signature is not taken: application id, private key or certificate do not belong together."

_OUTCOMES: tuple[Rejected | Misconfigured | Throttled | Unknown, ...] = (
    Unknown("20000", "The provider had an error of its own."),
    Unknown("isp.unknow-error", "The provider had an error of its own."),
    Unknown("aop.unknow-error", "The provider had an error of its own."),
    Misconfigured("20001", _AUTHORISATION),
    Misconfigured("aop.invalid-auth-token", _AUTHORISATION),
    Misconfigured("aop.auth-token-time-out", _AUTHORISATION),
    Misconfigured("aop.invalid-app-auth-token", _AUTHORISATION),
    Misconfigured("aop.invalid-app-auth-token-no-api", _AUTHORISATION),
    Misconfigured("aop.app-auth-token-time-out", _AUTHORISATION),
    Rejected("40001", _MISSING, "content"),
    Rejected("isv.missing-method", _MISSING, "content"),
    Misconfigured("isv.missing-app-id", "The application id is missing."),
    Misconfigured("isv.missing-signature", "The provider found no signature."),
    Misconfigured("isv.missing-signature-type", "The provider found no type of signature."),
    Rejected("isv.missing-timestamp", _MISSING, "content"),
    Rejected("isv.missing-version", _MISSING, "content"),
    Rejected("40002", "A parameter is not valid.", "content"),
    Rejected("isv.invalid-parameter", "A parameter is not valid.", "content"),
    Rejected("isv.illegal-json", "The message is not valid JSON.", "content"),
    Rejected("isv.invalid-charset", "The provider does not take this charset.", "content"),
    Rejected("isv.invalid-method", "The provider does not know this call.", "content"),
    Rejected("isv.suspected-attack", "The provider takes the message for an attack.", "content"),
    Misconfigured("isv.invalid-signature", _SIGNATURE),
    Misconfigured("isv.invalid-signature-type", "The application uses another type of signature."),
    Misconfigured("isv.invalid-app-id", "The application id is not valid."),
    Misconfigured("isv.forbidden-api", "The application may not use this call."),
    Misconfigured("isv.not-online-app", "The application is not in service."),
    Misconfigured("isv.app-cert-expired", "The application's certificate has ended."),
    Misconfigured("isv.invalid-timestamp", "This machine's clock is off."),
    Misconfigured("40003", "The provider's console lacks a setting for this application."),
    Misconfigured("isv.missing-signature-config", "No public key was uploaded for the application."),
    Rejected("40004", "The provider refuses this message."),
    Rejected("PUB.MSG_SD_NOFOLLOW", "The person does not follow the life account."),
    Rejected("PUB.MSG_TEMPLATE_NOT_EXIST", "The template is not among the life account's own ones.", "content"),
    Throttled("PUB.MSG_BATCH_SD_OVER", "The share of mass messages is used up.", timedelta(days=1)),
    Rejected("MSG_SD_OVER_TIME", "The time for an answer to this person is over."),
    Throttled("40005", "Too many calls of this application."),
    Throttled("isv.app-call-limited", "Too many calls of this application."),
    Throttled("isv.method-call-limited", "Too many of these calls."),
    Misconfigured("40006", "The application has no permission for this call."),
    Misconfigured("isv.insufficient-isv-permissions", "The application has no permission for this call."),
    Misconfigured("isv.insufficient-user-permissions", "The person gave no permission for this call."),
)
CODES: dict[str, Outcome] = {one.code: one for one in _OUTCOMES}
