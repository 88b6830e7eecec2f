"""A test message by hand goes over the real transport, is told in words and stands masked in the audit log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.channels import services
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.channels.testing import check_account
from apps.channels.testing import test_send as send_test
from apps.operators.models import AuditEvent
from tests.channels import listing_provider
from tests.simulator.clients import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
PHONE = "13800138000"
TEXT = {"sign_name": "优选银行", "template_code": "SMS_100000001", "params": {"code": "1234"}, "text": "验证码 1234"}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("state"), "--world", "perfect", "--seed", "7")
    yield running
    running.stop()


def account(simulator: Simulator, secret: str, **columns: object) -> ChannelAccount:
    settings = {"access_key_id": "LTAI5tTestKey0000001", "access_key_secret": secret, "base_url": simulator.http}
    fresh = ChannelAccount(code="sms", name="SMS", kind="sms_aliyun", **columns)
    return services.save_account(actor="test", account=fresh, settings=settings)


def test_what_the_provider_says_is_told_and_written_down(simulator: Simulator) -> None:
    good = account(simulator, "TestSecret0000000000000000000001")
    before = len(simulator.ledger())
    result = send_test(actor="boss", account=good, address=PHONE, content=TEXT)
    assert (result.outcome, result.accepted, result.pieces) == ("Accepted", True, 1), result.words
    assert len(simulator.ledger()) == before + 1
    services.save_account(actor="boss", account=good, settings={"access_key_secret": "wrong"})
    result = send_test(actor="boss", account=good, address=PHONE, content=TEXT)
    assert (result.outcome, result.code, result.accepted) == ("Misconfigured", "SignatureDoesNotMatch", False)
    events = list(AuditEvent.objects.filter(verb__startswith="test_send").order_by("id").values_list("verb", "detail"))
    assert [verb for verb, _detail in events] == ["test_send", "test_send_answered"] * 2
    assert PHONE not in str(events)


def test_what_is_refused_here_sends_nothing(simulator: Simulator) -> None:
    slow = account(simulator, "TestSecret0000000000000000000001", rate_per_second="0.05", burst=1)
    before = len(simulator.ledger())
    with pytest.raises(AccountError) as refused:
        send_test(actor="boss", account=slow, address=PHONE, content={})
    assert "text" in refused.value.problems
    assert send_test(actor="boss", account=slow, address=PHONE, content=TEXT).accepted
    with pytest.raises(AccountError):  # the account's limit counts for tests too
        send_test(actor="boss", account=slow, address=PHONE, content=TEXT)
    assert len(simulator.ledger()) == before + 1


def test_a_check_of_a_kind_with_tokens_shows_the_exchange_and_neither_secret_nor_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listing_provider.register(monkeypatch)
    with listing_provider.running() as provider:
        fresh = ChannelAccount(code="listed", name="Listed", kind="listing")
        settings = {"base_url": provider.url, "secret": provider.secret}
        held = services.save_account(actor="test", account=fresh, settings=settings)
        good = check_account(actor="boss", account=held)
        assert (good.accepted, provider.given) == (True, 1)
        provider.secret = "another"
        bad = check_account(actor="boss", account=held)
    assert (bad.outcome, bad.code) == ("Misconfigured", "bad_secret")
    (asked,), (refused,) = good.exchanges, bad.exchanges
    assert "/token?secret=●●●" in asked.asked and "HTTP 200" in asked.answered
    assert "the-secret" not in str(good) + str(bad) and "token-1" not in str(good)
    assert '{"error": "secret"}' in refused.answered, "a refusal is read out"
    verbs = AuditEvent.objects.filter(verb="check_account").values_list("detail__outcome", flat=True)
    assert list(verbs) == ["Accepted", "Misconfigured"]


def test_whose_address_it_was_is_on_record(simulator: Simulator) -> None:
    good = account(simulator, "TestSecret0000000000000000000001")
    send_test(actor="boss", account=good, address=PHONE, content=TEXT, whose={"user_id": "U1", "binding": 7})
    details = AuditEvent.objects.filter(verb__startswith="test_send").values_list("detail", flat=True)
    assert [(detail["user_id"], detail["binding"]) for detail in details] == [("U1", 7)] * 2
