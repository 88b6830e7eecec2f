"""One spelling for one address; nothing mangled or dangerous passes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.users.addresses import IMPORT_KINDS, BadAddress, mask, normalise

MOBILES = st.from_regex(r"\A1[3-9][0-9]{9}\Z")
FULL_WIDTH = str.maketrans("0123456789+", "０１２３４５６７８９＋")


@given(MOBILES, st.sampled_from(["", "+86", "0086", "86", "+86 ", "（+86）"]), st.booleans(), st.booleans())
def test_every_writing_of_a_mainland_number_is_one(number: str, prefix: str, dashes: bool, wide: bool) -> None:
    written = prefix + (f"{number[:3]}-{number[3:7]} {number[7:]}" if dashes else number)
    assert normalise("phone", f" \u3000{written.translate(FULL_WIDTH) if wide else written}\u00a0") == number


@pytest.mark.parametrize(
    ("kind", "raw", "kept"),
    [
        ("phone", "+852 9123 4567", "+85291234567"),
        ("phone", "00852 91234567", "+85291234567"),
        ("phone", "13800000000.0", "13800000000"),
        ("email", " Zhang.San+x@Mail.EXAMPLE.net ", "Zhang.San+x@mail.example.net"),
        ("email", "a@例子.中国", "a@xn--fsqu00a.xn--fiqs8s"),
        ("email", "ａ＠example.com", "a@example.com"),
        ("wecom", "ZhangSan", "zhangsan"),
        ("alipay", "2088100794067259", "2088100794067259"),
        ("fcm", "cXw1K9fT0a4:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx", "cXw1K9fT0a4:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"),
        ("apns", "AB" * 32, "ab" * 32),
        ("feishu", "ou_73ee7f", "ou_73ee7f"),
        ("webhook", "HTTPS://A.example/Hook?x=1", "https://a.example/Hook?x=1"),
        ("webhook", "https://a.example:8443", "https://a.example:8443/"),
        ("webhook", "https://a.example/h|whsec_" + "Q" * 32, "https://a.example/h|whsec_" + "Q" * 32),
        ("apprise", "Slack://TokenA/TokenB/TokenC", "slack://TokenA/TokenB/TokenC"),
        ("wecom_group", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx", "693a91f6-7xxx"),
        ("wecom_group", "693a91f6-7xxx", "693a91f6-7xxx"),
        ("feishu_group", "https://open.feishu.cn/open-apis/bot/v2/hook/0b1c2d3e-4f", "0b1c2d3e-4f"),
        ("feishu_group", "https://open.feishu.cn/open-apis/bot/v2/hook/0b1c2d3e-4f|s3cr3t", "0b1c2d3e-4f|s3cr3t"),
        ("feishu_group", "0b1c2d3e-4f|s3cr3t", "0b1c2d3e-4f|s3cr3t"),
        ("dingtalk_group", "https://oapi.dingtalk.com/robot/send?access_token=66727dd9a1", "66727dd9a1"),
        ("dingtalk_group", "66727dd9a1|SECums01", "66727dd9a1|SECums01"),
    ],
)
def test_accepted(kind: str, raw: str, kept: str) -> None:
    assert normalise(kind, raw) == kept


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("phone", "1.38E+10", "scientific_notation"),
        ("alipay", "2.08810E+15", "scientific_notation"),
        ("phone", "1509427263", "wrong_length"),
        ("phone", "12345678901", "not_a_mobile"),
        ("phone", "+86 010 1234 5678", "not_a_mobile"),
        ("phone", "call me", "not_digits"),
        ("phone", "+8613800000000 ext 1", "not_a_mobile"),
        ("phone", " ", "empty"),
        ("email", "not-an-email", "not_an_email"),
        ("email", "a@b", "not_an_email"),
        ("email", "a..b@example.com", "not_an_email"),
        ("email", "a@-x.example.com", "not_an_email"),
        ("email", "a@example.com\r\nBcc: b@example.com", "control_character"),
        ("email", "李@example.com", "email_local_part"),
        ("email", "a" * 65 + "@example.com", "too_long"),
        ("jpush", "short", "wrong_shape"),
        ("fcm", "https://fcm.example/token-of-a-browser", "wrong_shape"),
        ("apns", "ab" * 31, "wrong_shape"),
        ("apns", "xy" * 32, "wrong_shape"),
        ("wechat_oa", "o1", "wrong_shape"),
        ("alipay", "20881007940672", "wrong_shape"),
        ("dingtalk", "two words", "wrong_shape"),
        ("wecom", "@all", "wrong_shape"),
        ("wecom", "@ALL", "wrong_shape"),
        ("wecom_group", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send", "wrong_shape"),
        ("wecom_group", "693a91f6-7xxx|secret", "wrong_shape"),
        ("feishu_group", "0b1c2d3e-4f|", "wrong_shape"),
        ("dingtalk_group", "https://oapi.dingtalk.com/robot/send", "wrong_shape"),
        ("webhook", "ftp://a.example/", "wrong_shape"),
        ("webhook", "https://user:word@a.example/", "wrong_shape"),
        ("webhook", "https://a.example/ two", "wrong_shape"),
        ("webhook", "https://a.example/h|secret", "wrong_shape"),
        ("apprise", "no address", "wrong_shape"),
        ("apprise", "://x", "wrong_shape"),
        ("anything", "x" * 1001, "too_long"),
    ],
)
def test_refused_with_a_reason(kind: str, raw: str, code: str) -> None:
    with pytest.raises(BadAddress) as bad:
        normalise(kind, raw)
    assert bad.value.code == code
    assert raw.strip() not in str(bad.value) or not raw.strip()


@given(st.sampled_from([*IMPORT_KINDS, "anything"]), st.text(max_size=80))
@example("email", "a@b.cc\n")
def test_whatever_passes_is_stable_and_free_of_control_characters(kind: str, raw: str) -> None:
    try:
        kept = normalise(kind, raw)
    except BadAddress:
        return
    assert normalise(kind, kept) == kept
    assert kept and not any(ord(sign) < 32 or ord(sign) == 127 for sign in kept)
    assert len(kept) < 7 or mask(kind, kept) != kept


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("phone", "13812341234", "138****1234"),
        ("phone", "+85291234567", "+852****4567"),
        ("email", "zhang@mail.example.net", "z***@mail.example.net"),
        ("wechat_oa", "o1vRt_1fjORS-6ilI8ihN5KXSc7T", "o1vR****Sc7T"),
        ("wecom", "li", "l****"),
        ("webhook", "https://a.example/hook/s3cr3t|whsec_" + "Q" * 32, "https://a.example/****"),
        ("apprise", "slack://TokenA/TokenB/TokenC", "slack://****"),
    ],
)
def test_masks(kind: str, text: str, shown: str) -> None:
    assert mask(kind, text) == shown


def test_a_robots_address_shows_nothing_to_write_with() -> None:
    shown = mask("feishu_group", "0b1c2d3e-4f5a|umsFeishuRobotSecret01")
    assert shown == "0b1c****" and mask("wecom_group", "693a91f6-7xxx") == "693a****"


@pytest.mark.parametrize("prefix", ["130", "147", "162", "165", "166", "167", "170", "171", "172", "173", "174", "176", "177",
                                    "178", "190", "191", "192", "193", "195", "196", "197", "198", "199"])  # fmt: skip
def test_new_phone_prefixes(prefix: str) -> None:
    assert (
        normalise("phone", f"+86 {prefix} 1234 5678") == normalise("phone", f"{prefix}12345678") == f"{prefix}12345678"
    )
