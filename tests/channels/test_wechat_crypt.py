"""The published and recorded vectors of the WeChat family's callback scheme, and everything that must not pass."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from apps.channels.contract import BadReceipt
from apps.channels.wire.wechat_crypt import WechatCrypt, require_fresh

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
RANDOM = b"0123456789abcdef"


def crypt(receiver: str = "wwUMScorp00001", key: str = KEY, token: str = "umsCallbackToken") -> WechatCrypt:
    return WechatCrypt(token, key, receiver)


@pytest.mark.parametrize(
    ("token", "timestamp", "nonce", "signature"),
    [
        ("umsCallbackToken", "1750000001", "nonce42", "08e07923d22192b2fe8223617d72d88fc6e2b970"),
        ("AAAAA", "1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("AAAAA", "1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ],
)
def test_plain_signatures(token: str, timestamp: str, nonce: str, signature: str) -> None:
    crypt(token=token).verify(signature, timestamp, nonce)


def test_wecom_trial_of_the_address() -> None:
    echo = "4j/AuRx71kQlxVlzbpsMWFHe92iq4VdHki6B+j5nrtg2Iq0NVD94PwIEZvhJ2tIbGCXYkz9WmY67CZpusU7bfA=="
    crypt().verify("e18c0df9733fc26513b41514b4318329a36c2152", "1750000001", "nonce42", echo)
    assert crypt().open(echo) == b"1616140317555161061"
    assert crypt().seal(b"1616140317555161061", RANDOM) == echo


def test_a_cipher_text_of_another_implementation() -> None:
    text = "6KmUQuPVu7UhjyVqRdbo5SfcRqaHvbUlKSHFvBV2ZuR6TIlKsygcfeSd1GDplg1C5KSKr6UPHCaC/nIX3ZNt9w=="
    other = crypt("ww6a112864f8022910", "4Ma3YBrSBbX2aez8MJpXGBne5LSDwgGqHbhM9WPYIws")
    assert other.open(text) == b"94966531020182955848408"


def test_dingtalk_vectors() -> None:
    ding = crypt("dingUMSappkey01")
    trial = "4j/AuRx71kQlxVlzbpsMWN8XtjwRdOcH+n7e3hsaZgEMcwZUcfF7dIDeZ037cZxf2RiiFGkP72GNQmxL7RAz1A=="
    assert ding.open(trial) == b'{"EventType":"check_url"}'
    assert ding.sign("1750000001000", "nonce42", trial) == "eb061dfc4842acab124cec3cbd8e27acffca9acd"
    reply = "4j/AuRx71kQlxVlzbpsMWGvhOAd/orM/yWXqnPWohTb6gcTFszCxhIW96aQ3LwInUXDZGWVfInnmPdd+W+tj2w=="
    assert ding.seal(b"success", RANDOM) == reply
    assert ding.sign("1750000001000", "nonce42", reply) == "76d21e0d15b26ff9d7ba6a5df80ba8c4ab3b387b"


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 31, 32, 33, 5000])
def test_what_is_sealed_is_opened(length: int) -> None:
    assert crypt().open(crypt().seal(b"x" * length, RANDOM)) == b"x" * length


def test_nothing_else_is_opened() -> None:
    sealed = crypt().seal(b"for one only", RANDOM)
    raw = bytearray(base64.b64decode(sealed))
    raw[-1] ^= 1
    for text in (
        "",
        "!",
        sealed[:-4],
        sealed + "AAAA",
        base64.b64encode(raw).decode(),
        base64.b64encode(b"x" * 16).decode(),
    ):
        with pytest.raises(BadReceipt):
            crypt().open(text)
    for other in (crypt("wwUMScorp00002"), crypt(key=KEY[:-1]), crypt(key="")):
        with pytest.raises(BadReceipt):
            other.open(sealed)


def test_a_signature_stands_for_these_strings_only() -> None:
    good = crypt().sign("1750000001", "nonce42", "text")
    for given in (("", "1750000001", "nonce42", "text"), (good, "1750000002", "nonce42", "text"), (good, "", "", "text"),
                  (good, "1750000001", "nonce42", "texu"), (good, "1750000001", "nonce42"), ("ü", "1", "2", "3")):  # fmt: skip
        with pytest.raises(BadReceipt):
            crypt().verify(*given)


def test_old_requests_are_refused() -> None:
    now = datetime(2025, 6, 15, 15, 6, 41, tzinfo=UTC)  # 1750000001
    require_fresh("1750000001", now + timedelta(minutes=59))
    require_fresh("1750000001000", now - timedelta(minutes=59), unit=1000)
    for stamp in ("1749996000", "1750003700", "", "soon", "-1", "9" * 30):
        with pytest.raises(BadReceipt):
            require_fresh(stamp, now)
