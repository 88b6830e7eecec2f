"""Tencent Cloud's words in ours. Marks of confidence stand in README.md."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from apps.channels.outcomes import Misconfigured, Outcome, Rejected, Throttled, Unknown

SECOND = timedelta(seconds=1)

# `retry_after` of these is filled in from the clock of the answer: Beijing's next midnight, or eight in the morning.
UNTIL_MIDNIGHT = {
    "LimitExceeded.PhoneNumberDailyLimit": "This number has had its share of messages for today.",
    "LimitExceeded.PhoneNumberSameContentDailyLimit": "This number has had this text often enough today.",
    "LimitExceeded.DeliveryFrequencyLimit": "This number has had its share of messages for now.",
}
APP_UNTIL_MIDNIGHT = {
    "LimitExceeded.AppDailyLimit": "The application's limit for the day is reached.",
    "LimitExceeded.DailyLimit": "The limit for messages abroad is reached for the day.",
    "LimitExceeded.AppMainlandChinaDailyLimit": "The application's limit for the mainland is reached for the day.",
    "LimitExceeded.AppGlobalDailyLimit": "The application's limit for messages abroad is reached for the day.",
    "LimitExceeded.AppCountryOrRegionDailyLimit": "The application's limit for this country is reached for the day.",
}
AT_EIGHT = "FailedOperation.MarketingSendTimeConstraint"

_CONTENT = {
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": "The variables do not fit the template.",
    "FailedOperation.SignatureIncorrectOrUnapproved": "The signature is not approved or does not exist.",
    "FailedOperation.TemplateIdNotExist": "The template does not exist.",
    "FailedOperation.TemplateIncorrectOrUnapproved": "The template is not approved or does not exist.",
    "FailedOperation.TemplateUnapprovedOrNotExist": "The template is not approved or does not exist.",
    "FailedOperation.ContainSensitiveWord": "The text holds a forbidden word.",
    "FailedOperation.ParametersOtherError": "A parameter is not valid.",
    "FailedOperation.FailResolvePacket": "The call is not in the provider's form.",
    "FailedOperation.JsonParseFail": "The call is not in the provider's form.",
    "InternalError.JsonParseFail": "The call is not in the provider's form.",
    "InvalidParameter": "A parameter is not valid.",
    "InvalidParameter.DirtyWordFound": "The text holds a forbidden word.",
    "InvalidParameter.InvalidParameters": "A parameter is not valid.",
    "InvalidParameterValue": "A parameter is not valid.",
    "InvalidParameterValue.ContentLengthLimit": "The text is too long.",
    "InvalidParameterValue.InvalidTemplateFormat": "The template's form is not valid.",
    "InvalidParameterValue.MarketingTemplateWithoutUnsubscribe": "A marketing text must say how to unsubscribe.",
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": "A variable may not hold a link.",
    "InvalidParameterValue.SignNameLengthTooLong": "The signature is too long.",
    "InvalidParameterValue.TemplateParameterFormatError": "A code may hold 6 digits at most and nothing else.",
    "InvalidParameterValue.TemplateParameterLengthLimit": "A variable is too long.",
    "InvalidParameterValue.TemplateWithDirtyWords": "The template holds a forbidden word.",
    "InvalidParameterValue.UnsupportedTemplateVariable": "The template has a variable of a kind that is not allowed.",
    "MissingParameter": "A parameter is missing.",
    "RequestSizeLimitExceeded": "The call is too big.",
    "UnknownParameter": "The call holds a parameter that the provider does not know.",
    "UnsupportedOperation": "The provider does not do this.",
}
_RECIPIENT = {
    "InvalidParameterValue.IncorrectPhoneNumber": "The number is not valid.",
    "FailedOperation.PhoneNumberParseFail": "The number is not valid.",
    "FailedOperation.PhoneNumberInBlacklist": "The number is on the provider's blacklist: its owner unsubscribed.",
    "UnsupportedOperation.UnsupportedRegion": "The provider does not send to this country.",
    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": "The template is for mainland numbers only.",
    "UnsupportedOperation.GlobalTemplateToChineseMainlandPhone": "The template is not for mainland numbers.",
    "UnsupportedOperation.ContainDomesticPhoneNumber": "The template is not for mainland numbers.",
    "LimitExceeded.AppCountryOrRegionInBlacklist": "The application does not send to this country.",
}
_CALL = {
    "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber": "Mainland and foreign numbers stood in one call.",
    "LimitExceeded.PhoneNumberCountLimit": "Too many numbers in one call.",
    "MissingParameter.EmptyPhoneNumberSet": "The call named no number.",
}
_ACCOUNT = {
    "AuthFailure.InvalidAuthorization": "The provider cannot read the signature.",
    "AuthFailure.InvalidSecretId": "The SecretId is not one of an API key.",
    "AuthFailure.MFAFailure": "The API key wants a second factor.",
    "AuthFailure.SecretIdNotFound": "The SecretId is unknown, deleted or disabled.",
    "AuthFailure.SignatureExpire": "This machine's clock is more than 5 minutes off.",
    "AuthFailure.SignatureFailure": "The SecretKey is wrong.",
    "AuthFailure.TokenFailure": "The token of the API key is not valid.",
    "AuthFailure.UnauthorizedOperation": "The API key has no permission to send.",
    "FailedOperation.InsufficientBalanceInSmsPackage": "The package of messages is used up.",
    "FailedOperation.MissingSignature": "The account has no approved signature.",
    "FailedOperation.NotEnterpriseCertification": "The account is not certified as an enterprise's.",
    "FailedOperation.ProhibitSubAccountUse": "A sub-account may not do this.",
    "InternalError.RequestTimeException": "This machine's clock is more than 10 minutes off.",
    "InternalError.SigFieldMissing": "The provider found no signature.",
    "InternalError.SigVerificationFail": "The provider's back end did not take the signature.",
    "InvalidAction": "The endpoint does not know this call.",
    "InvalidParameter.AppidAndBizId": "The application does not belong to this account.",
    "InvalidParameterValue.SdkAppIdNotExist": "The SdkAppId does not exist.",
    "IpInBlacklist": "The address of this machine is on a list of refused ones.",
    "IpNotInWhitelist": "The address of this machine is not on the account's allow-list.",
    "NoSuchVersion": "The endpoint does not know this version.",
    "UnauthorizedOperation": "The account has no permission to send.",
    "UnauthorizedOperation.IndividualUserMarketingSmsPermissionDeny": "A person's account may not send marketing.",
    "UnauthorizedOperation.RequestIpNotInWhitelist": "The address of this machine is not on the account's allow-list.",
    "UnauthorizedOperation.RequestPermissionDeny": "The account has no permission to send.",
    "UnauthorizedOperation.SdkAppIdIsDisabled": "The SdkAppId is disabled.",
    "UnauthorizedOperation.ServiceSuspendDueToArrears": "The account is in arrears.",
    "UnauthorizedOperation.SmsSdkAppIdVerifyFail": "The SdkAppId does not belong to this account.",
    "UnsupportedRegion": "The region of the account is not served.",
}
_THROTTLED = {
    "RequestLimitExceeded": "Too many calls in this second.",
    "RequestLimitExceeded.GlobalRegionUinLimitExceeded": "Too many calls of this account in this second.",
    "RequestLimitExceeded.IPLimitExceeded": "Too many calls of this machine in this second.",
    "RequestLimitExceeded.UinLimitExceeded": "Too many calls of this account in this second.",
    "LimitExceeded.GlobalSmsSendingRateLimit": "Too many messages abroad in this second.",
}
_OPEN = {
    "FailedOperation.OtherError": "The provider had an error of its own.",
    "InternalError": "The provider had an error of its own.",
    "InternalError.OtherError": "The provider had an error of its own.",
    "InternalError.ParseBackendResponseFail": "The provider could not read its own back end.",
    "InternalError.RestApiInterfaceNotExist": "The provider did not find its own back end.",
    "InternalError.SendAndRecvFail": "The provider lost its own back end.",
    "InternalError.Timeout": "The provider timed out.",
    "InternalError.UnknownError": "The provider had an error of its own.",
    "ServiceUnavailable": "The provider is not available.",
}


# The provider adds words to its families; whoever refuses so has sent nothing.
FAMILIES: dict[str, Misconfigured | Throttled] = {
    "AuthFailure.": Misconfigured("", "The provider does not take the API key or its signature."),
    "UnauthorizedOperation.": Misconfigured("", "The account has no permission to send."),
    "RequestLimitExceeded.": Throttled("", "Too many calls in this second.", SECOND),
}


def _outcomes() -> Iterator[Rejected | Misconfigured | Throttled | Unknown]:
    yield from (Rejected(*one, "content") for one in _CONTENT.items())
    yield from (Rejected(*one) for one in _RECIPIENT.items())
    yield from (Rejected(*one, "call") for one in _CALL.items())
    yield from (Misconfigured(*one) for one in _ACCOUNT.items())
    yield from (Throttled(*one, SECOND) for one in _THROTTLED.items())
    yield from (Throttled(*one, scope="recipient") for one in UNTIL_MIDNIGHT.items())
    yield from (Throttled(*one) for one in APP_UNTIL_MIDNIGHT.items())
    yield from (Unknown(*one) for one in _OPEN.items())
    yield Throttled("LimitExceeded.PhoneNumberThirtySecondLimit", "This number had a message just now.", 30 * SECOND,
                    "recipient")  # fmt: skip
    yield Throttled("LimitExceeded.PhoneNumberOneHourLimit", "This number has had its share of messages for this hour.",
                    timedelta(hours=1), "recipient")  # fmt: skip
    yield Throttled(AT_EIGHT, "Marketing goes out from 8 to 22 o'clock only.", scope="recipient")


CODES: dict[str, Outcome] = {one.code: one for one in _outcomes()}

# `report_status` of a callback, `ReportStatus` of a pulled one
STATES: dict[str, Literal["delivered", "failed"]] = {"SUCCESS": "delivered", "FAIL": "failed"}
