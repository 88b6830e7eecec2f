"""Accounts: secrets sealed and kept, errors by field, the bucket in step, breaker and pause on record."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone, translation

from apps.channels import selectors, services
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount, RateBucket
from apps.channels.prices import set_price
from apps.operators.models import AuditEvent
from apps.partners.models import BusinessLine

pytestmark = pytest.mark.django_db
SETTINGS = {"access_key_id": "id", "access_key_secret": "hush-hush", "base_url": "http://127.0.0.1:9"}


def made(settings: dict[str, Any] | None = None, **columns: Any) -> ChannelAccount:
    given = {"code": "sms", "name": "SMS", "kind": "sms_aliyun"} | columns
    return services.save_account(actor="test", account=ChannelAccount(**given), settings=settings or SETTINGS)


def test_secrets_are_sealed_and_opened_for_the_adapter() -> None:
    account = made()
    held = ChannelAccount.objects.get(pk=account.pk)
    assert "access_key_secret" not in held.config
    assert b"hush-hush" not in bytes(held.secrets)
    assert services.opened(held).config["access_key_secret"] == "hush-hush"
    assert len(held.hook_token) >= 32
    assert "hush-hush" not in str(list(AuditEvent.objects.values()))


def test_an_empty_secret_stays_and_a_new_one_is_opened_anew() -> None:
    account = made()
    first = services.opened(ChannelAccount.objects.get(pk=account.pk))
    assert services.opened(ChannelAccount.objects.get(pk=account.pk)) is first
    services.save_account(actor="test", account=account, settings={"access_key_id": "other", "access_key_secret": ""})
    second = services.opened(ChannelAccount.objects.get(pk=account.pk))
    assert second.config["access_key_id"] == "other"
    assert second.config["access_key_secret"] == "hush-hush"
    services.save_account(actor="test", account=account, settings={"access_key_secret": "new"})
    assert services.opened(ChannelAccount.objects.get(pk=account.pk)).config["access_key_secret"] == "new"
    assert services.opened(ChannelAccount.objects.get(pk=account.pk)).config["access_key_id"] == "other"


def test_what_is_wrong_is_said_per_field_and_nothing_is_saved() -> None:
    with translation.override("en"), pytest.raises(AccountError) as refused:
        made({"base_url": "nowhere"}, code="not a code")
    assert set(refused.value.problems) >= {"access_key_id", "access_key_secret", "base_url", "code"}
    with pytest.raises(AccountError):
        made(SETTINGS | {"colour": "red"})
    assert not ChannelAccount.objects.exists()


def test_the_bucket_follows_the_limit() -> None:
    account = made(rate_per_second=5, burst=3)
    key = services.bucket_key(account.pk)
    bucket = RateBucket.objects.get(key=key)
    assert (bucket.rate, bucket.burst, bucket.tokens) == (5, 3, 3)
    with connection.cursor() as cursor:
        cursor.execute("SELECT take_calls(%s, array_fill(1, '{100}'))", [[key]])
        assert cursor.fetchone()[0] == 3
    account.rate_per_second, account.burst = 7, 1
    services.save_account(actor="test", account=account, settings={})
    bucket.refresh_from_db()
    assert (bucket.rate, bucket.burst) == (7, 1)
    assert bucket.tokens < 1
    account.rate_per_second = None
    services.save_account(actor="test", account=account, settings={})
    assert not RateBucket.objects.filter(key=key).exists()


def test_facts_are_of_accounts_that_the_line_may_use_and_say_which_are_paused() -> None:
    line, other = (BusinessLine.objects.create(code=code, name=code) for code in ("shop", "bank"))
    made(code="all")
    made(code="shops", business_line=line)
    made(code="banks", business_line=other)
    services.pause_account(actor="test", account=made(code="asleep"), reason="no balance")
    assert [facts.code for facts in selectors.account_facts(line) if facts.active] == ["all", "shops"]
    assert [facts.code for facts in selectors.account_facts(line) if not facts.active] == ["asleep"]
    facts = selectors.account_facts(line)[0]
    assert (facts.address_kind, facts.receipts, facts.price_unit) == ("phone", "push", "piece")


def test_breaker_and_pause_are_reset_once_and_on_record() -> None:
    account = made()
    ChannelAccount.objects.filter(pk=account.pk).update(
        open_until=timezone.now() + timedelta(minutes=1), open_reason="no balance", faults=3
    )
    assert [held.code for held in selectors.open_breakers()] == ["sms"]
    for _twice in range(2):
        services.close_breaker(actor="test", account=account)
        services.pause_account(actor="test", account=account, reason="no balance")
    assert not selectors.open_breakers().exists()
    held = ChannelAccount.objects.get(pk=account.pk)
    assert (held.open_until, held.faults, held.state) == (None, 0, "PAUSED")
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert verbs == ["add_account", "close_breaker", "pause_account"]


def test_a_new_address_for_receipts_ends_the_old_one(client: Client) -> None:
    account = made()
    old = account.hook_token
    services.renew_hook(actor="boss", account=account)
    held = ChannelAccount.objects.get(pk=account.pk)
    assert held.hook_token != old and len(held.hook_token) >= 32
    statuses = [
        client.post(f"/hooks/sms/{token}", "[]", content_type="application/json").status_code
        for token in (old, held.hook_token)
    ]
    assert statuses == [404, 200]
    assert AuditEvent.objects.filter(verb="renew_hook", actor="boss").count() == 1


def test_a_price_read_again_is_no_price_changed() -> None:
    account = made(price="0.01")
    set_price(actor="boss", account=ChannelAccount.objects.get(), price=Decimal("0.02"))
    account.refresh_from_db()
    services.save_account(actor="test", account=account, settings={})
    assert account.prices.count() == 2


def test_a_pause_says_why_and_a_second_one_does_not_change_it() -> None:
    account = made()
    with pytest.raises(AccountError):
        services.pause_account(actor="test", account=account, reason="  ")
    for reason in ("no balance", "another"):
        services.pause_account(actor="test", account=account, reason=reason)
    assert ChannelAccount.objects.get().pause_reason == "no balance"
    services.resume_account(actor="test", account=account)
    assert ChannelAccount.objects.get().pause_reason == ""


def test_saving_leaves_alone_what_others_move_meanwhile() -> None:
    account = made()
    ChannelAccount.objects.update(open_until=timezone.now() + timedelta(minutes=1), faults=3, state="PAUSED")
    account.name = "Renamed"
    services.save_account(actor="test", account=account, settings={})
    held = ChannelAccount.objects.get()
    assert (held.name, held.faults, held.state, held.open_until is None) == ("Renamed", 3, "PAUSED", False)


def test_the_first_page_of_accounts_says_what_an_account_is(admin_client: Client) -> None:
    with translation.override("en"):
        empty = admin_client.get("/console/ums_channels/channelaccount/", headers={"Accept-Language": "en"})
        made()
        full = admin_client.get("/console/ums_channels/channelaccount/", headers={"Accept-Language": "en"})
    assert "An account is one configured sender on a channel" in empty.content.decode()
    assert "An account is one configured sender on a channel" not in full.content.decode()
