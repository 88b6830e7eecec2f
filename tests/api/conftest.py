"""A business line that may send, and a client that speaks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import translation

from tests import installation

if TYPE_CHECKING:  # a conftest is read before Django is ready
    from apps.partners.models import BusinessLine

SINGLE, BATCH = "/api/v1/messages", "/api/v1/messages/batch"


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Answers are compared in the language of the code."""
    with translation.override("en"):
        yield


@dataclass(frozen=True, slots=True)
class Caller:
    """One business line's program."""

    line: BusinessLine
    key: str
    client: Client

    def headers(self, key: str | None = None) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "Accept-Language": "en",
            "Idempotency-Key": uuid4().hex if key is None else key,
        }

    def post(self, body: Any, key: str | None = None, path: str = SINGLE) -> Any:
        return self.client.post(path, body, content_type="application/json", headers=self.headers(key))

    def get(self, message_id: object) -> Any:
        return self.client.get(f"{SINGLE}/{message_id}", headers=self.headers())


def make_installation() -> None:
    """Accounts sms-main, push-main, a template `balance`, a policy `sms-only`."""
    from apps.campaigns.models import Policy

    installation.account("sms_aliyun", "sms-main", "0.045")
    installation.account("push_jpush", "push-main")
    installation.template()
    Policy.objects.create(code="sms-only", name="SMS", plan={"steps": [{"channels": [{"account": "sms-main"}]}]})


@pytest.fixture
def installed(db: None) -> None:
    make_installation()


@pytest.fixture
def callers(installed: None, client: Client) -> Callable[[str], Caller]:
    """Makes the program of a new business line."""
    return lambda code: Caller(*installation.business_line(code), client)


@pytest.fixture
def bank(callers: Callable[[str], Caller]) -> Caller:
    return callers("bank")
