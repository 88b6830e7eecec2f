"""What is special about signed webhooks: the published vectors, secrets of addresses, times to wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.channels.contract import Account, Envelope, HttpAnswer
from apps.channels.outcomes import Rejected, Throttled
from apps.channels.providers.webhook.adapter import Webhook
from apps.channels.providers.webhook.signature import signatures

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = (
    '{"type":"message.requested","timestamp":"2025-01-02T03:04:05Z","data":{"delivery_id":"d-42","text":"验证码 8848"}}'
)
NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def build(address: str = "https://subscriber.example/hook", key: str = "k1", **config: Any) -> dict[str, str]:
    account = Account("main", "webhook", {"signing_secret": SECRET} | config)
    request = Webhook().build(account, [Envelope(key, "d-42", address, {"text": "验证码 8848"})], NOW)
    return dict(line.split(": ", 1) for line in request.headers) | {"url": request.url, "body": request.body.decode()}  # type: ignore[union-attr]


def test_the_vectors_of_the_contract() -> None:
    assert signatures([SECRET], "msg_d-42", 1735787045, EVENT.encode()) == (
        "v1,gTRgTBgCzVp7udv1UdKRC+d3La/N6iJYeJaxy9x+jlM="
    )
    seed = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert signatures([seed], "msg_d-42", 1735787045, EVENT.encode()) == (
        "v1a,mnBGsFTuz9eQrpF9ktBPg6qfVMH8Jycw/yCSLxsEoqgCBENbkTB0Jr0wfaxoKYQs2xYgsHmWKu3WndZ0xn48AA=="
    )
    body = b'{"test": 2432232314}'
    assert signatures([PUBLISHED], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_the_event_and_its_signature() -> None:
    sent = build()
    assert sent["body"] == EVENT
    assert sent["webhook-timestamp"] == "1735787045"
    assert sent["webhook-signature"] == signatures([SECRET], "k1", 1735787045, sent["body"].encode())


def test_two_keys_sign_during_a_change_and_an_address_may_have_its_own() -> None:
    both = build(former_secret=PUBLISHED)["webhook-signature"].split(" ")
    assert both == [build()["webhook-signature"], build(signing_secret=PUBLISHED)["webhook-signature"]]
    own = build(address=f"https://subscriber.example/hook|{PUBLISHED}", former_secret=PUBLISHED)
    assert own["url"] == "https://subscriber.example/hook"
    assert own["webhook-signature"] == both[1]
    assert (
        build(address=f"https://subscriber.example/hook|{PUBLISHED}", signing_secret="")["webhook-signature"] == both[1]
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"signing_secret": ""},
        {"address": "http://subscriber.example/hook"},
        {"address": "https://user:word@subscriber.example/hook"},
        {"address": "https:///hook"},
        {"address": "file:///etc/passwd"},
        {"address": "https://subscriber.example/a b"},
        {"address": "https://subscriber.example/a\r\nX: y"},
        {"address": "https://subscriber.example/hook|whsec_short"},
        {"key": "k.1"},
        {"key": "k 1"},
    ],
)
def test_what_may_not_be_called_is_not_built(broken: dict[str, str]) -> None:
    with pytest.raises(ValueError) as refused:
        build(**broken)
    assert "short" not in str(refused.value)


def test_addresses_without_tls_only_where_the_account_says_so() -> None:
    assert build(address="http://subscriber.example/hook", allow_http=True)["url"] == "http://subscriber.example/hook"
    with pytest.raises(ValueError):
        build(address="ftp://subscriber.example/hook", allow_http=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "17"}, timedelta(seconds=17)),
        (
            {"retry-after": "Thu, 02 Jan 2025 03:05:05 GMT", "date": "Thu, 02 Jan 2025 03:04:05 GMT"},
            timedelta(minutes=1),
        ),
        ({"retry-after": "Thu, 02 Jan 2025 03:03:05 GMT", "date": "Thu, 02 Jan 2025 03:04:05 GMT"}, None),
        ({"retry-after": "Thu, 02 Jan 2025 03:05:05 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_subscribers_own_time_to_wait(headers: dict[str, str], wait: timedelta | None) -> None:
    outcome = Webhook().read(Account("main", "webhook", {}), [], HttpAnswer(429, headers, b""))
    assert isinstance(outcome, Throttled) and (outcome.retry_after, outcome.scope) == (wait, "recipient")


def test_gone_is_gone() -> None:
    outcome = Webhook().read(Account("main", "webhook", {}), [], HttpAnswer(410, {}, b""))
    assert isinstance(outcome, Rejected) and outcome.bad_address
