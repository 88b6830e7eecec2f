"""The error tables of the contract sheets, written down a second time: each code is there, and means what it should.

A row that stands otherwise in a sheet says why.
"""

import pytest

from apps.channels.outcomes import Rejected, Throttled
from tests.channels.golden_files import Kind, kinds

ALIBABA = {
    "Throttled recipient": "isv.BUSINESS_LIMIT_CONTROL",
    "Throttled account": "isv.DAY_LIMIT_CONTROL isv.MONTH_LIMIT_CONTROL Throttling Throttling.User Throttling.Api",
    "Unknown": "isp.SYSTEM_ERROR InternalError ServiceUnavailable SignatureNonceUsed",
    "Rejected recipient": "isv.MOBILE_NUMBER_ILLEGAL",
    "Rejected call": "isv.MOBILE_COUNT_OVER_LIMIT",
    # not approved: the text is at fault, other texts of the account still go out
    "Rejected content": "isv.SMS_TEMPLATE_ILLEGAL isv.SMS_SIGNATURE_ILLEGAL isv.SMS_SIGN_ILLEGAL isv.SIGN_STATE_ILLEGAL "
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL isv.TEMPLATE_MISSING_PARAMETERS isv.INVALID_PARAMETERS isv.INVALID_JSON_PARAM "
    "isv.PARAM_LENGTH_LIMIT isv.PARAM_NOT_SUPPORT_URL isv.TEMPLATE_PARAMS_ILLEGAL isv.BLACK_KEY_CONTROL_LIMIT "
    "isv.SMS_CONTENT_ILLEGAL",
    "Misconfigured": "isv.OUT_OF_SERVICE isv.AMOUNT_NOT_ENOUGH isv.PRODUCT_UN_SUBSCRIPT isv.PRODUCT_UNSUBSCRIBE "
    "isv.ACCOUNT_NOT_EXISTS isv.ACCOUNT_ABNORMAL isp.RAM_PERMISSION_DENY isv.DENY_IP_RANGE InvalidAccessKeyId.NotFound "
    "SignatureDoesNotMatch InvalidTimeStamp.Expired InvalidTimeStamp.Format",
}
DINGTALK = {
    "Throttled account": "-1 90018 90019 90002",
    # 90020: the sheet leaves the choice between waiting for the month's end and the account's fault
    "Misconfigured": "60011 60020 90020",
    "Rejected content": "22 40035 400002 34001 34016 34999",
}
TABLES = {
    "sms_aliyun": ALIBABA
    | {
        "Rejected recipient": "isv.MOBILE_NUMBER_ILLEGAL isv.DOMESTIC_NUMBER_NOT_SUPPORTED isv.SMS_TEST_NUMBER_LIMIT",
        "Misconfigured": f"{ALIBABA['Misconfigured']} isv.EXTEND_CODE_ERROR",
    },
    "rcs_aliyun": ALIBABA | {"Rejected recipient": "isv.MOBILE_NUMBER_ILLEGAL MOBILE_NOT_SUPPORT_RCS"},
    "sms_tencent": {
        "Throttled account": "RequestLimitExceeded RequestLimitExceeded.UinLimitExceeded RequestLimitExceeded.Other "
        "LimitExceeded.GlobalSmsSendingRateLimit LimitExceeded.AppDailyLimit LimitExceeded.DailyLimit "
        "LimitExceeded.AppMainlandChinaDailyLimit LimitExceeded.AppGlobalDailyLimit "
        "LimitExceeded.AppCountryOrRegionDailyLimit",
        "Throttled recipient": "LimitExceeded.PhoneNumberThirtySecondLimit LimitExceeded.PhoneNumberOneHourLimit "
        "LimitExceeded.PhoneNumberDailyLimit LimitExceeded.PhoneNumberSameContentDailyLimit LimitExceeded.DeliveryFrequencyLimit "
        "FailedOperation.MarketingSendTimeConstraint",  # the hour forbids this text, and no other one of the account
        "Unknown": "InternalError InternalError.Timeout InternalError.SendAndRecvFail InternalError.OtherError "
        "InternalError.UnknownError",
        "Misconfigured": "InternalError.RequestTimeException AuthFailure.SignatureExpire AuthFailure.SignatureFailure "
        "AuthFailure.SecretIdNotFound AuthFailure.Other UnauthorizedOperation UnauthorizedOperation.RequestPermissionDeny "
        "UnauthorizedOperation.Other InternalError.SigVerificationFail InternalError.SigFieldMissing IpNotInWhitelist "
        "UnauthorizedOperation.ServiceSuspendDueToArrears FailedOperation.InsufficientBalanceInSmsPackage "
        "InvalidParameterValue.SdkAppIdNotExist",
        "Rejected recipient": "InvalidParameterValue.IncorrectPhoneNumber FailedOperation.PhoneNumberParseFail "
        "FailedOperation.PhoneNumberInBlacklist UnsupportedOperation.UnsupportedRegion "
        "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone UnsupportedOperation.GlobalTemplateToChineseMainlandPhone",
        "Rejected call": "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber LimitExceeded.PhoneNumberCountLimit "
        "MissingParameter.EmptyPhoneNumberSet",
        # the first three: as at Alibaba
        "Rejected content": "FailedOperation.SignatureIncorrectOrUnapproved FailedOperation.TemplateIncorrectOrUnapproved "
        "FailedOperation.TemplateUnapprovedOrNotExist FailedOperation.TemplateParamSetNotMatchApprovedTemplate "
        "InvalidParameterValue.TemplateParameterFormatError InvalidParameterValue.TemplateParameterLengthLimit "
        "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter InvalidParameterValue.ContentLengthLimit "
        "FailedOperation.ContainSensitiveWord FailedOperation.FailResolvePacket FailedOperation.JsonParseFail",
    },
    "alipay_life": {
        "Unknown": "20000 isp.unknow-error aop.unknow-error",
        # no more than an operator can mend in the account: also a signature or application id that the call lacks
        "Misconfigured": "20001 aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token "
        "aop.app-auth-token-time-out isv.invalid-signature isv.invalid-app-id isv.invalid-signature-type isv.forbidden-api "
        "isv.not-online-app isv.app-cert-expired isv.invalid-timestamp isv.missing-signature-config isv.missing-signature "
        "isv.missing-app-id isv.insufficient-isv-permissions isv.insufficient-user-permissions",
        "Rejected content": "isv.missing-method isv.missing-timestamp isv.missing-version isv.invalid-parameter isv.illegal-json "
        "isv.invalid-charset isv.invalid-method isv.suspected-attack PUB.MSG_TEMPLATE_NOT_EXIST",
        "Rejected recipient": "40004 PUB.MSG_SD_NOFOLLOW MSG_SD_OVER_TIME",
        "Throttled account": "40005 isv.app-call-limited isv.method-call-limited PUB.MSG_BATCH_SD_OVER",
    },
    "dingtalk_work": DINGTALK
    | {
        "StaleToken": "40001 40014 42001 33001",
        "Misconfigured": f"{DINGTALK['Misconfigured']} 40089",
        "Rejected recipient": "33012 60121 40003 40031",
        "Rejected call": "40032",
    },
    "dingtalk_robot": DINGTALK | {"Misconfigured": f"{DINGTALK['Misconfigured']} 310000", "Throttled recipient": "130101",
                                  "Throttled account": f"{DINGTALK['Throttled account']} 90030"},
    "rcs_maap": {
        "Throttled account": "-1 30003 45001 30001 30002 30004",
        "Unknown": "-2",  # the sheet has it repeated; an error inside says nothing of the message
        "StaleToken": "40001 40014 42001 41001",
        "Rejected recipient": "46001 46003 60002",
        "Misconfigured": "30008 48001 41002 41004 30006",
        "Rejected content": "20002 20003 40005 40008 40016 40021 47001 47002 60001 60003 70001",
    },
    "push_jpush": {
        "Unknown": "1000 1030",  # repeated under the same cid
        "Throttled account": "2002 2005 1012",
        "Rejected recipient": "1011 1003",
        "Rejected content": "1001 1002 1005 1009 1035",
        "Misconfigured": "1004 1008 2003 2004 2006 2007 1020",  # 1020 is no HTTPS: the endpoint is a setting
    },
    "push_fcm": {
        "Rejected recipient": "UNREGISTERED INVALID_ARGUMENT SENDER_ID_MISMATCH",
        "Throttled account": "QUOTA_EXCEEDED UNAVAILABLE",
        "Unknown": "INTERNAL",  # nothing keeps a repeat from being a second message
        "Misconfigured": "THIRD_PARTY_AUTH_ERROR",
        "StaleToken": "UNAUTHENTICATED",
    },
    "push_apns": {
        "Rejected recipient": "Unregistered ExpiredToken BadDeviceToken DeviceTokenNotForTopic MissingDeviceToken",
        "Misconfigured": "BadTopic MissingTopic TopicDisallowed InvalidPushType BadPath MethodNotAllowed InvalidProviderToken "
        "MissingProviderToken Forbidden UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken BadCertificate "
        "BadCertificateEnvironment",
        "Rejected content": "BadExpirationDate BadPriority BadCollapseId BadMessageId DuplicateHeaders PayloadEmpty "
        "PayloadTooLarge",
        "Unavailable": "IdleTimeout ServiceUnavailable Shutdown",
        "Unknown": "InternalServerError",  # as INTERNAL of FCM
        "StaleToken": "ExpiredProviderToken",
        "Throttled recipient": "TooManyRequests",
        "Throttled account": "TooManyProviderTokenUpdates",
    },
}  # fmt: skip
GONE = {  # of whose address the provider says that it is gone for good
    "dingtalk_robot": {"300001", "400013", "400101", "400106"},
    "push_fcm": {"UNREGISTERED"},
    "push_apns": {"Unregistered", "ExpiredToken"},
}
KINDS = [kind for kind in kinds() if kind.name in TABLES]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_codes_mean_what_the_contract_says(kind: Kind) -> None:
    assert {one.name for one in KINDS} == set(TABLES)
    for word, codes in TABLES[kind.name].items():
        for code in codes.split():
            outcome = kind.adapter.read(kind.account, kind.envelopes(), kind.refusal(code))
            (outcome,) = outcome if isinstance(outcome, (list, tuple)) else (outcome,)
            scope = f" {outcome.scope}" if isinstance(outcome, Rejected | Throttled) else ""
            assert f"{type(outcome).__name__}{scope}" == word, code
            assert outcome.code == code
            assert not getattr(outcome, "unmapped", False), code


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_address_is_given_up_but_one_that_is_gone(kind: Kind) -> None:
    gone = {code for code, outcome in kind.codes.items() if getattr(outcome, "bad_address", False)}
    assert gone == GONE.get(kind.name, set())
