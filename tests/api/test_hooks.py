"""Hooks of providers: stored sealed and answered at once; nobody else learns anything."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_rq import get_connection

from apps.campaigns.hooks import LARGEST
from apps.campaigns.models import ReceiptInbox
from apps.campaigns.pipeline.inbox import INBOX_PLACE
from apps.channels.models import ChannelAccount
from tests import installation
from ums_site.crypto import keyring

pytestmark = pytest.mark.django_db
REPORT = b'[{"phone_number":"13800000001","success":true}]'


@pytest.fixture
def account(db: None) -> ChannelAccount:
    return installation.account("sms_aliyun", "sms-main")


def post(client: Client, account: ChannelAccount, body: bytes = REPORT, token: str = "", query: str = "") -> int:
    path = f"/hooks/{account.code}/{token or account.hook_token}{query}"
    return client.post(path, body, content_type="application/json").status_code


def test_a_body_is_stored_sealed_and_answered_as_the_provider_expects(client: Client, account: ChannelAccount) -> None:
    path = f"/hooks/{account.code}/{account.hook_token}?a=1"
    answer = client.post(path, REPORT, content_type="application/json", headers={"X-Sign": "s"})
    assert (answer.status_code, json.loads(answer.content)["code"]) == (200, 0)
    row = ReceiptInbox.objects.get()
    assert (row.account_id, row.state) == (account.pk, "NEW")
    assert b"13800000001" not in bytes(row.sealed)
    head, body = keyring().open_bytes(row.sealed, INBOX_PLACE).split(b"\n", 1)
    held = json.loads(head)
    assert (body, held["query"], held["headers"]["x-sign"]) == (REPORT, {"a": "1"}, "s")


def test_csrf_and_sessions_play_no_part(account: ChannelAccount) -> None:
    client = Client(enforce_csrf_checks=True)
    assert post(client, account) == 200
    assert not client.cookies


@pytest.mark.parametrize("token", ["wrong", "-" * 43, "é"])
def test_a_wrong_token_and_an_unknown_account_look_the_same(
    client: Client, account: ChannelAccount, token: str
) -> None:
    wrong = client.post(f"/hooks/{account.code}/{token}", REPORT, content_type="application/json")
    unknown = client.post(f"/hooks/nobody/{token}", REPORT, content_type="application/json")
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content) == (404, b"")
    assert not ReceiptInbox.objects.exists()


def test_a_body_may_have_256_kilobytes(client: Client, account: ChannelAccount) -> None:
    assert post(client, account, b"x" * LARGEST) == 200
    assert post(client, account, b"x" * (LARGEST + 1)) == 413
    assert ReceiptInbox.objects.count() == 1


def test_only_posts_are_taken(client: Client, account: ChannelAccount) -> None:
    assert client.get(f"/hooks/{account.code}/{account.hook_token}").status_code == 405


def test_it_is_one_look_and_one_write(client: Client, account: ChannelAccount) -> None:
    post(client, account)
    with CaptureQueriesContext(connection) as queries:
        post(client, account)
    assert [query["sql"].split()[0] for query in queries] == ["SELECT", "INSERT"]


@pytest.mark.django_db(transaction=True)
def test_the_receipts_lane_is_rung(client: Client) -> None:
    redis = get_connection("receipts")
    redis.flushdb()
    post(client, installation.account("sms_aliyun", "sms-main"))
    assert redis.llen("rq:queue:receipts") == 1


def test_a_kind_that_reports_in_another_way_has_no_hook(client: Client) -> None:
    account = installation.account("push_jpush", "push-main")
    assert post(client, account) == 404
    assert not ReceiptInbox.objects.exists()
