"""Never twice on a retry: stored answers, other bodies, calls that are still running, and many at once."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from apps.campaigns.models import Campaign, Message
from apps.partners.idempotency import Answer, Given, OtherBody, StillRunning, forget_old, once
from apps.partners.models import BusinessLine, IdempotencyKey
from tests import installation
from tests.api.bodies import batch, single
from tests.api.conftest import BATCH, SINGLE, Caller, make_installation
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 20


@pytest.mark.django_db
class TestOneAfterAnother:
    def test_a_retry_gets_the_stored_answer_to_the_byte(self, bank: Caller) -> None:
        first, second = bank.post(single(client_ref="r"), "k-1"), bank.post(single(client_ref="r"), "k-1")
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.content == second.content
        assert (first.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
        assert Message.objects.count() == 1

    def test_the_same_body_in_other_words_is_the_same(self, bank: Caller) -> None:
        body = single()
        bank.post(json.dumps(body), "k")
        again = bank.post(json.dumps(dict(reversed(body.items())), indent=2, ensure_ascii=False), "k")
        assert again["Idempotent-Replayed"] == "true"

    def test_another_body_under_the_same_key_is_refused(self, bank: Caller) -> None:
        bank.post(single(), "k")
        answer = bank.post(single(client_ref="other"), "k")
        assert answer.status_code == 422
        assert "new key" in answer.json()["detail"]
        assert bank.post(batch({"to": {"user_id": "u"}}), "k", BATCH).status_code == 422 or Message.objects.count() == 1

    def test_a_refused_body_does_not_use_up_the_key(self, bank: Caller) -> None:
        assert bank.post(single(template="no-such"), "k").status_code == 400
        assert bank.post(single(), "k").status_code == 202

    def test_two_lines_may_use_the_same_key(self, bank: Caller, callers: Any) -> None:
        ids = {caller.post(single(), "k").json()["id"] for caller in (bank, callers("shop"))}
        assert len(ids) == 2

    def test_a_batch_is_replayed_whole(self, bank: Caller) -> None:
        body = batch(
            *[
                {
                    "to": {"address_kind": "phone", "address": f"1380000000{n}"},
                    "variables": {"name": "a", "balance": "1"},
                }
                for n in range(3)
            ]
        )
        first, second = bank.post(body, "k", BATCH), bank.post(body, "k", BATCH)
        assert first.status_code == 202 and first.content == second.content
        assert (Message.objects.count(), Campaign.objects.count()) == (3, 1)

    def test_keys_are_kept_seven_days(self, bank: Caller) -> None:
        bank.post(single(), "old")
        IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(days=7, minutes=1))
        bank.post(single(), "new")
        assert forget_old() == 1
        assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["new"]


@contextmanager
def _own_connection() -> Iterator[None]:
    try:
        yield
    finally:
        connections.close_all()


HOT = "campaigns_message, campaigns_messagepayload, campaigns_delivery"  # not Django's, so its flush leaves their rows


@pytest.fixture
def emptied(transactional_db: None) -> Iterator[None]:
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {HOT}")


@pytest.mark.usefixtures("emptied")
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_a_call_that_is_still_running_asks_to_come_back(self) -> None:
        make_installation()
        caller = Caller(*installation.business_line(), Client())
        working, finish = Event(), Event()

        def work(_read: Sequence[Any]) -> Answer:
            working.set()
            assert finish.wait(20)
            return Answer(202, "{}")

        def first() -> Given:
            with _own_connection():
                return once(caller.line, "k", "hash", work)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(first)
            assert working.wait(20)
            answer = caller.post(single(), "k")
            finish.set()
            assert running.result(20) == Given(202, "{}", replayed=False)
        assert (answer.status_code, answer["Retry-After"]) == (409, "1")
        with pytest.raises(OtherBody):
            once(caller.line, "k", "other hash", work)

    def test_who_comes_between_look_and_write_gets_the_others_answer(self) -> None:
        """The lock is taken away on purpose: the unique constraint alone must hold."""
        line, _key = installation.business_line()

        def someone_else() -> None:
            with _own_connection(), transaction.atomic():
                IdempotencyKey.objects.create(
                    business_line=line, key="k", body_hash="hash", status=202, answer='{"id": "theirs"}'
                )

        def work(_read: Sequence[Any]) -> Answer:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(someone_else).result(20)
            BusinessLine.objects.create(code="written-in-vain", name="x")
            return Answer(202, '{"id": "ours"}')

        assert once(line, "k", "hash", work) == Given(202, '{"id": "theirs"}', replayed=True)
        assert not BusinessLine.objects.filter(code="written-in-vain").exists()

    def test_twenty_threads_with_one_key_write_one_message(self) -> None:
        make_installation()
        line, key = installation.business_line()
        start = Barrier(AT_ONCE)

        def send(_number: int) -> tuple[int, bytes]:
            caller = Caller(line, key, Client())
            with _own_connection():
                start.wait(20)
                answer = caller.post(single(), "k")
                return answer.status_code, answer.content

        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(send, range(AT_ONCE)))
        _one_message(answers)

    def test_twenty_calls_through_gunicorn_with_one_key_write_one_message(self) -> None:
        make_installation()
        line, key = installation.business_line()
        headers = Caller(line, key, Client()).headers("k") | {"Content-Type": "application/json"}
        with gunicorn() as port, ThreadPoolExecutor(AT_ONCE) as pool:
            start = Barrier(AT_ONCE)

            def send(_number: int) -> tuple[int, bytes]:
                start.wait(20)
                return call(port, single(), headers)

            answers = list(pool.map(send, range(AT_ONCE)))
            _one_message(answers)
            assert call(port, single(), headers)[0] == 202
        assert Message.objects.count() == 1


def _one_message(answers: list[tuple[int, bytes]]) -> None:
    """One call did it; every other one got its answer, or was told to ask again."""
    counts = Counter(status for status, _body in answers)
    assert set(counts) <= {202, 409} and counts[202] >= 1, counts
    assert len({body for status, body in answers if status == 202}) == 1
    assert (Message.objects.count(), IdempotencyKey.objects.count()) == (1, 1)


def call(port: int, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes]:
    """One call over a connection of its own."""
    http_connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        http_connection.request("POST", SINGLE, json.dumps(body), headers)
        answer = http_connection.getresponse()
        return answer.status, answer.read()
    finally:
        http_connection.close()


@contextmanager
def gunicorn() -> Iterator[int]:
    """Two worker processes of the real server on this test's database; gives the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", "ums_site.wsgi", "--workers", "2", "--threads", "4"]
    server = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", "--no-control-socket"],
        cwd=ROOT,
        env=os.environ.copy(),
    )
    try:
        until(lambda: _listens(port, server), what="gunicorn listening")
        yield port
    finally:
        server.terminate()
        server.wait(20)
        connection.close()


def _listens(port: int, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "gunicorn ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_lock_is_only_politeness() -> None:
    """StillRunning is what a caller sees, never an error of the database."""
    assert issubclass(StillRunning, Exception) and not issubclass(StillRunning, OtherBody)
