"""Approved templates are fetched by the work lane, page by page; a run that died is taken up, twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from apps.campaigns.pipeline.reap import LANES_WITH_WORK
from apps.campaigns.tasks import BACKGROUND
from apps.channels import provider_templates, services
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount, ProviderTemplate, TemplateRefresh
from apps.operators.models import AuditEvent
from tests import installation
from tests.channels import listing_provider
from ums_site.clock import database_now

pytestmark = pytest.mark.django_db(transaction=True)
ONE, TWO, THREE = (
    ["T1", "Bill", "Your bill ${a}", "approved"],
    ["T2", "Code", "${b}", "pending"],
    ["T3", "", "", "refused"],
)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[listing_provider.Provider]:
    listing_provider.register(monkeypatch)
    with listing_provider.running() as server:
        yield server


@pytest.fixture
def account(provider: listing_provider.Provider) -> ChannelAccount:
    fresh = ChannelAccount(code="listed", name="Listed", kind="listing")
    settings = {"base_url": provider.url, "secret": provider.secret}
    return services.save_account(actor="test", account=fresh, settings=settings)


def listed() -> list[tuple[str, str]]:
    return list(ProviderTemplate.objects.order_by("code").values_list("code", "state"))


def refresh(account: ChannelAccount, seconds: float | None = None) -> TemplateRefresh:
    provider_templates.order_refresh(actor="boss", account=account)
    provider_templates.refresh_due(seconds)
    return TemplateRefresh.objects.get(account=account)


def test_the_work_lane_fetches_every_page(account: ChannelAccount, provider: listing_provider.Provider) -> None:
    provider.pages = [[ONE], [TWO, THREE]]
    provider_templates.order_refresh(actor="boss", account=account)
    assert provider_templates.refresh_due in BACKGROUND
    assert _lanes() == ["work"], "a lost bell must be rung again"
    assert sum(job() for job in BACKGROUND) >= 1
    order = TemplateRefresh.objects.get()
    assert (order.state, order.found, order.words) == ("DONE", 3, "")
    assert listed() == [("T1", "approved"), ("T2", "pending"), ("T3", "refused")]
    assert _lanes() == []
    assert AuditEvent.objects.filter(verb="refresh_templates", actor="boss").count() == 1


def _lanes() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(LANES_WITH_WORK, [[]])
        return [lane for (lane,) in cursor.fetchall()]


def test_what_is_listed_no_more_goes_and_what_changed_is_kept_once(
    account: ChannelAccount, provider: listing_provider.Provider
) -> None:
    provider.pages = [[ONE, TWO]]
    refresh(account)
    provider.pages = [[["T2", "Code", "${b}", "approved"], THREE]]
    refresh(account)
    assert listed() == [("T2", "approved"), ("T3", "refused")]


def test_an_order_that_waits_is_not_doubled_and_the_slice_is_kept(
    account: ChannelAccount, provider: listing_provider.Provider
) -> None:
    provider.pages = [[ONE]]
    for _twice in range(2):
        provider_templates.order_refresh(actor="boss", account=account)
    assert AuditEvent.objects.filter(verb="refresh_templates").count() == 1
    assert provider_templates.refresh_due(0) == 0
    assert (provider_templates.refresh_due(), provider_templates.refresh_due()) == (1, 0)


def test_a_runner_that_died_is_followed_by_another_that_goes_on_where_it_stood(
    account: ChannelAccount, provider: listing_provider.Provider
) -> None:
    provider.pages = [[ONE], [TWO]]
    provider_templates.order_refresh(actor="boss", account=account)
    dead = provider_templates._start()
    assert dead is not None
    provider_templates._keep(dead, provider_templates._page(account, 1)[0])
    assert provider_templates.refresh_due() == 0, "its runner may still be alive"
    TemplateRefresh.objects.update(heartbeat_at=database_now() - timedelta(minutes=2))
    before = provider.asked
    assert provider_templates.refresh_due() == 1
    assert provider.asked == before + 1
    assert [code for code, _state in listed()] == ["T1", "T2"]
    with pytest.raises(provider_templates.Superseded):
        provider_templates._keep(dead, [])


def test_a_stale_token_is_fetched_anew_and_a_refusal_is_told(
    account: ChannelAccount, provider: listing_provider.Provider
) -> None:
    provider.pages = [[ONE]]
    refresh(account)
    provider.token = "another"  # somebody else fetched one: ours is taken no longer
    assert refresh(account).state == "DONE"
    assert provider.given == 2
    services.save_account(actor="test", account=account, settings={"secret": "wrong"})
    provider.token = "yet another"
    provider_templates.tokens.SharedToken.objects.all().delete()
    order = refresh(account)
    assert (order.state, order.words) == ("FAILED", "bad_secret · The secret is not taken.")
    assert listed() == [("T1", "approved")], "what was known stays"


def test_garbage_ends_the_order_and_not_the_worker(
    account: ChannelAccount, provider: listing_provider.Provider
) -> None:
    provider.pages = [[["one field only"]]]
    assert refresh(account).state == "FAILED"
    assert provider_templates.refresh_due() == 0


def test_a_kind_that_lists_nothing_refuses(db: None) -> None:
    with pytest.raises(AccountError):
        provider_templates.order_refresh(actor="boss", account=installation.account("email_smtp", "mail"))
