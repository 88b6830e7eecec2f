"""What is Alipay's alone: signatures both ways, certificates, causes below classes, the gateway of the account.

The keys of vectors.json are throw-away ones; the signatures agree with both Python clients of the provider's API.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from apps.channels.contract import Account, AddressEvent, BadReceipt, Envelope, HttpAnswer, HttpRequest
from apps.channels.hooks import greeting, heard
from apps.channels.outcomes import Accepted, Misconfigured, Outcome, Rejected, Throttled, Unknown
from apps.channels.providers.alipay_life.adapter import AlipayLife
from apps.channels.providers.alipay_life.signing import canonical, cert_sn, root_cert_sn
from apps.channels.wire import rsa
from tests.channels.golden_files import GOLDEN, hook_request

GIVEN = json.loads((GOLDEN / "alipay_life" / "vectors.json").read_text())
KEYS, VECTORS = GIVEN["keys"], GIVEN["vectors"]
KIND = json.loads((GOLDEN / "alipay_life" / "kind.json").read_text())
CONFIG = KIND["config"] | {"app_auth_token": ""}
CERT_SN = "84b7e07074d9bc646f89f3f933d3f277"
AT = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
ENVELOPE = Envelope("", "k3x9", "2088000000000001", KIND["content"])


def account(**changes: str) -> Account:
    return Account("a", "alipay_life", CONFIG | changes)


def parameters(request: HttpRequest) -> dict[str, str]:
    query = parse_qsl(urlsplit(request.url).query, strict_parsing=True)
    return dict(query + parse_qsl((request.body or b"").decode(), strict_parsing=True))


def answer(body: str) -> HttpAnswer:
    return HttpAnswer(200, {}, body.encode())


def read(body: str, **changes: str) -> Outcome:
    return AlipayLife().read(account(**changes), [ENVELOPE], answer(body))


def test_the_request_of_the_first_vector() -> None:
    sent = parameters(AlipayLife().build(account(), [ENVELOPE], AT))
    sign = sent.pop("sign")
    assert canonical(sent) == VECTORS["av1_text"] and sign == VECTORS["av1"]
    assert canonical({**sent, "notify_url": "", "sign": "x"}) == VECTORS["av1_text"]


def test_the_request_of_certificate_mode() -> None:
    certificates = {"app_cert": KEYS["cert"], "alipay_root_cert": KEYS["cert"], "alipay_public_key": KEYS["cert"]}
    assert AlipayLife().check_config(CONFIG | certificates) == {}
    sent = parameters(AlipayLife().build(account(**certificates), [ENVELOPE], AT))
    assert sent["app_cert_sn"] == sent["alipay_root_cert_sn"] == CERT_SN
    assert sent["sign"] == VECTORS["av5"]


def test_serial_numbers_of_certificates() -> None:
    assert cert_sn(KEYS["cert"]) == root_cert_sn(KEYS["cert"]) == CERT_SN
    assert root_cert_sn(KEYS["cert"] + "\n" + KEYS["cert"]) == f"{CERT_SN}_{CERT_SN}"


def test_an_open_id_goes_under_its_own_name() -> None:
    request = AlipayLife().build(account(), [replace(ENVELOPE, address="074a1CcTG1LelxKe4xQC0zgNdId0nzpi")], AT)
    biz = json.loads(parameters(request)["biz_content"])
    assert biz["to_open_id"] == "074a1CcTG1LelxKe4xQC0zgNdId0nzpi" and "to_user_id" not in biz


@pytest.mark.parametrize("form", ["pem", "bare", "escaped"])
def test_keys_are_read_as_people_paste_them(form: str) -> None:
    bare = "".join(KEYS["app_private"].splitlines()[1:-1])
    pasted = {"pem": KEYS["app_private"], "bare": bare, "escaped": KEYS["app_private"].replace("\n", "\\n")}[form]
    sent = parameters(AlipayLife().build(account(private_key=pasted), [ENVELOPE], AT))
    assert sent["sign"] == VECTORS["av1"]


def test_signed_answers() -> None:
    assert read(VECTORS["av2"]) == Accepted("")
    refused = read(VECTORS["av3"])
    assert isinstance(refused, Rejected) and refused.code == "PUB.MSG_SD_NOFOLLOW"
    for body, key in ((VECTORS["av2"], "av2"), (VECTORS["av3"], "av3")):
        inner, sign = body.split(":", 1)[1].rsplit(',"sign":"', 1)
        assert rsa.verifies(rsa.public_key(KEYS["alipay_public"]), inner.encode(), sign.removesuffix('"}')), key


@pytest.mark.parametrize(
    "body",
    [
        VECTORS["av2"].replace('"code":"10000"', '"code": "10000"'),  # other bytes, same meaning
        VECTORS["av2"].split(',"sign"')[0] + "}",
        VECTORS["av2"].replace("MLLd", "MLLe"),
        VECTORS["av2"]
        .replace("alipay_open_public_message_single_send_response", "error_response")
        .replace("MLL", "NLL"),
        '{"alipay_open_public_message_single_send_response":{"code":"40004"},'
        + VECTORS["av2"][1:].replace("MLL", "NLL"),
    ],
)
def test_no_unsigned_success(body: str) -> None:
    assert not isinstance(read(body), Accepted)


def test_another_key_or_certificate_is_no_success() -> None:
    assert isinstance(read(VECTORS["av2"], alipay_public_key=KEYS["app_public"]), Unknown)
    certificates = {"app_cert": KEYS["cert"], "alipay_root_cert": KEYS["cert"], "alipay_public_key": KEYS["cert"]}
    other = VECTORS["av2"][:-1] + ',"alipay_cert_sn":"0"}'
    outcome = read(other, **certificates)
    assert isinstance(outcome, Unknown) and outcome.code == "other_certificate"


@pytest.mark.parametrize(
    ("code", "sub_code", "expected", "said"),
    [
        ("40004", "PUB.MSG_NEVER_SEEN", Rejected, "PUB.MSG_NEVER_SEEN"),
        ("40002", "isv.invalid-signature", Misconfigured, "isv.invalid-signature"),
        ("40002", "isv.other", Rejected, "isv.other"),
        ("40005", "isv.app-call-limited", Throttled, "isv.app-call-limited"),
        ("20000", "isp.other", Unknown, "isp.other"),
        ("49999", "isv.other", Unknown, "isv.other"),
    ],
)
def test_the_cause_decides_and_the_class_where_it_is_unknown(
    code: str, sub_code: str, expected: type[Outcome], said: str
) -> None:
    outcome = read(json.dumps({"error_response": {"code": code, "sub_code": sub_code}}))
    assert isinstance(outcome, expected) and outcome.code == said


def test_certificate_mode_wants_all_three() -> None:
    check = AlipayLife().check_config
    assert set(check(CONFIG | {"app_cert": KEYS["cert"]})) == {"alipay_root_cert", "alipay_public_key"}
    assert set(check(CONFIG | {"alipay_root_cert": "x", "alipay_public_key": KEYS["cert"]})) == {
        "app_cert", "alipay_root_cert"
    }  # fmt: skip


def test_who_follows_and_who_left() -> None:
    adapter = AlipayLife()
    for given in KIND["hooks"]:
        request = hook_request(given)
        events = heard(adapter, account(), request)
        assert greeting(adapter, account(), request) is None
        assert [asdict_of(event) for event in events] == given["events"]


def test_which_check_callbacks_pass_is_the_accounts_choice() -> None:
    """The older check leaves sign_type out, too; a form signed one way does not pass the other."""
    form = {
        "service": "s",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "biz_content": "<XML><EventType>enter</EventType></XML>",
    }
    theirs = rsa.private_key(KEYS["alipay_private"])
    for signed_as, without in (("v1", ("sign", "sign_type")), ("v2", ("sign",))):
        sign = rsa.sign(theirs, canonical(form, without).encode())
        request = hook_request({"body": urlencode(form | {"sign": sign})})
        for checked_as in ("v1", "v2"):
            if checked_as == signed_as:
                assert heard(AlipayLife(), account(callback_check=checked_as), request) == []
            else:
                with pytest.raises(BadReceipt):
                    heard(AlipayLife(), account(callback_check=checked_as), request)


def asdict_of(event: Any) -> dict[str, Any]:
    assert isinstance(event, AddressEvent)
    values = {name: getattr(event, name) for name in ("address", "reachable", "reason")}
    return values | {"occurred_at": event.occurred_at.isoformat()}
