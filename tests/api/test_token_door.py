"""The door to access tokens: only for keys that may, only for accounts of the line, on record, never kept on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils.dateparse import parse_datetime

from apps.channels import services
from apps.channels.models import ChannelAccount, SharedToken
from apps.operators.models import AuditEvent
from apps.partners.models import ApiKey, BusinessLine
from apps.partners.services import PartnerError, issue_api_key, revoke_api_key
from tests import installation
from tests.channels import listing_provider
from ums_site.clock import database_now

if TYPE_CHECKING:
    from tests.channels.listing_provider import Provider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    listing_provider.register(monkeypatch)
    with listing_provider.running() as server:
        yield server


@pytest.fixture
def line() -> BusinessLine:
    return BusinessLine.objects.create(code="crm", name="CRM")


@pytest.fixture
def key(line: BusinessLine) -> str:
    return issue_api_key(actor="boss", business_line=line, label="crm", scopes=["tokens"])[1]


def made(provider: Provider, code: str = "listed", **columns: Any) -> ChannelAccount:
    fresh = ChannelAccount(code=code, name=code, kind="listing", **columns)
    settings = {"base_url": provider.url, "secret": provider.secret}
    return services.save_account(actor="test", account=fresh, settings=settings)


def ask(key: str, code: str = "listed") -> Any:
    headers = {"Authorization": f"Bearer {key}", "Accept-Language": "en"}
    return Client().get(f"/api/v1/accounts/{code}/token", headers=headers)


def test_the_token_that_is_sent_with_is_handed_out_and_nobody_keeps_it(provider: Provider, key: str) -> None:
    account = made(provider)
    answers = [ask(key) for _twice in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.json()["token"] for answer in answers} == {"token-1"}, "one token for everybody"
    assert provider.given == 1
    expires_at = parse_datetime(answers[0].json()["expires_at"])
    assert expires_at == SharedToken.objects.get(account=account).expires_at
    assert expires_at > database_now()
    assert answers[0]["Cache-Control"] == "no-store"


def test_each_hand_out_is_on_record_without_the_token(provider: Provider, key: str) -> None:
    made(provider)
    for _twice in range(2):
        ask(key)
    events = AuditEvent.objects.filter(verb="hand_out_token")
    assert [(event.actor, event.detail["code"]) for event in events] == [("API crm", "listed")] * 2
    assert {event.detail["key"] for event in events} == {ApiKey.objects.get().prefix}
    assert "token-1" not in str(list(AuditEvent.objects.values()))


def test_a_key_may_not_unless_it_was_issued_so(provider: Provider, line: BusinessLine) -> None:
    made(provider)
    plain = issue_api_key(actor="boss", business_line=line, label="plain")[1]
    answer = ask(plain)
    assert (answer.status_code, provider.given) == (403, 0)
    assert "may not take tokens" in answer.json()["detail"]
    assert ask("ums_nonsense").status_code == 401
    with pytest.raises(PartnerError):
        issue_api_key(actor="boss", business_line=line, label="all", scopes=["everything"])


def test_a_revoked_key_stops_at_once(provider: Provider, key: str) -> None:
    made(provider)
    assert ask(key).status_code == 200
    revoke_api_key(actor="boss", key=ApiKey.objects.get())
    assert ask(key).status_code == 401


def test_only_accounts_that_the_line_may_use(provider: Provider, line: BusinessLine, key: str) -> None:
    other = BusinessLine.objects.create(code="bank", name="Bank")
    made(provider, "own", business_line=line)
    made(provider, "others", business_line=other)
    services.pause_account(actor="test", account=made(provider, "asleep"), reason="repair")
    installation.account("email_smtp", "mail")
    statuses = {code: ask(key, code).status_code for code in ("own", "others", "asleep", "nothing", "mail")}
    assert statuses == {"own": 200, "others": 404, "asleep": 404, "nothing": 404, "mail": 409}


def test_what_the_provider_refuses_is_told(provider: Provider, key: str) -> None:
    made(provider)
    provider.secret = "another"
    answer = ask(key)
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_secret")
    assert answer["Cache-Control"] == "no-store"
    assert not AuditEvent.objects.filter(verb="hand_out_token").exists()


def test_a_token_given_up_is_fetched_anew(provider: Provider, key: str) -> None:
    account = made(provider)
    assert ask(key).json()["token"] == "token-1"
    SharedToken.objects.filter(account=account).update(expires_at=None)
    assert ask(key).json()["token"] == "token-2"


def test_the_description_names_the_door() -> None:
    said = Client().get("/api/schema/?format=json").json()["paths"]["/api/v1/accounts/{code}/token"]["get"]
    assert set(said["responses"]) == {"200", "401", "403", "404", "409", "502", "503"}
