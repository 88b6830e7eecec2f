"""The first look of every call: what a key says now counts, and a connection that died since costs nobody a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg2
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.campaigns.models import Message
from apps.partners import authentication
from apps.partners.models import ApiKey, BusinessLine
from apps.partners.services import revoke_api_key
from tests import installation
from tests.api.bodies import single
from tests.api.conftest import Caller, make_installation
from tests.api.test_idempotency import HOT
from tests.waiting import until


@pytest.mark.django_db
class TestNothingIsRemembered:
    """Rows are kept as objects in the process; what they say is asked every time."""

    def test_a_revoked_key_stops_at_once(self, bank: Caller) -> None:
        assert bank.post(single()).status_code == 202
        revoke_api_key(actor="test", key=bank.line.api_keys.get())
        assert bank.post(single()).status_code == 401

    def test_a_stored_answer_is_not_given_to_a_revoked_key(self, bank: Caller) -> None:
        assert bank.post(single(), "k").status_code == 202
        revoke_api_key(actor="test", key=bank.line.api_keys.get())
        answer = bank.post(single(), "k")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")

    def test_a_key_that_is_gone_stops_at_once(self, bank: Caller) -> None:
        assert bank.post(single()).status_code == 202
        ApiKey.objects.all().delete()
        assert bank.post(single()).status_code == 401

    def test_a_wrong_secret_behind_a_known_prefix_is_refused(self, bank: Caller) -> None:
        assert bank.post(single()).status_code == 202
        wrong = Caller(bank.line, bank.key[:-2] + "xx", bank.client)
        assert wrong.post(single()).status_code == 401

    def test_an_expired_key_stops_at_once(self, bank: Caller) -> None:
        assert bank.post(single()).status_code == 202
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert bank.post(single()).status_code == 401

    def test_a_closed_line_stops_at_once_and_an_opened_one_goes_on(self, bank: Caller) -> None:
        statuses = []
        for active in (True, False, True):
            BusinessLine.objects.update(active=active)
            statuses.append(bank.post(single()).status_code)
        assert statuses == [202, 401, 202]

    def test_the_use_is_noted_once_a_minute(self, bank: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(authentication, "REMEMBERED_SECONDS", 0.0)
        bank.post(single())
        first = ApiKey.objects.get().last_used_at
        bank.post(single())
        assert first is not None and ApiKey.objects.get().last_used_at == first
        ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
        bank.post(single())
        assert ApiKey.objects.get().last_used_at > first

    def test_a_paused_account_and_a_new_one_count_at_once(self, bank: Caller) -> None:
        from apps.channels.models import ChannelAccount

        body = single(policy=None, steps=[{"channels": [{"account": "sms-two"}]}])
        statuses = [bank.post(body).status_code]
        account = installation.account("sms_aliyun", "sms-two")
        statuses.append(bank.post(body).status_code)
        ChannelAccount.objects.filter(pk=account.pk).update(state="PAUSED")
        statuses.append(bank.post(body).status_code)
        ChannelAccount.objects.filter(pk=account.pk).update(
            state="ACTIVE", business_line=installation.business_line("other")[0]
        )
        statuses.append(bank.post(body).status_code)
        assert statuses == [400, 202, 400, 400]


@pytest.fixture
def kept(transactional_db: None) -> Iterator[Caller]:
    """A caller whose requests share one connection, as those of one worker do."""
    make_installation()
    yield Caller(*installation.business_line(), Client())
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {HOT}")


def _end_backend() -> int:
    """Ends the server's side of our connection, as a restart of Postgres does; returns its process id."""
    pid: int = connection.connection.info.backend_pid
    other = psycopg2.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    try:
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])

            def gone() -> bool:
                cursor.execute("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [pid])
                return bool(cursor.fetchone()[0])

            until(gone)
    finally:
        other.close()
    return pid


@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_between_two_calls_costs_neither(kept: Caller) -> None:
    answers = [kept.post(single(), "k-1").status_code]
    pid = _end_backend()
    answers.append(kept.post(single(), "k-2").status_code)
    assert answers == [202, 202]
    assert connection.connection.info.backend_pid != pid
    assert Message.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_call_is_one_read_and_one_write_in_one_transaction(kept: Caller) -> None:
    kept.post(single(to={"user_id": "nobody"}))
    with CaptureQueriesContext(connection) as queries:
        assert kept.post(single(to={"user_id": "nobody"})).status_code == 202
    said = [query["sql"].split()[0] for query in queries]
    assert said == ["BEGIN", "EXECUTE", "EXECUTE", "COMMIT"]


def test_the_line_behind_a_key_is_as_it_stands_in_the_database(bank: Caller) -> None:
    BusinessLine.objects.filter(pk=bank.line.pk).update(consent_required=True)
    key = authentication.find_key(bank.key, timezone.now())
    assert key is not None
    line = BusinessLine.objects.get(pk=bank.line.pk)
    for column in BusinessLine._meta.concrete_fields:
        assert getattr(key.business_line, column.attname) == getattr(line, column.attname), column.name
