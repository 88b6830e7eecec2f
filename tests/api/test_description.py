"""The OpenAPI description and its page: complete, with examples, and nothing from outside the installation."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

pytestmark = pytest.mark.django_db
OUTSIDE = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//(?!testserver)[^"'\s)]+""", re.IGNORECASE)


@pytest.fixture
def description(client: Client) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load(client.get("/api/schema/").content)
    return held


def test_every_call_is_described_with_its_answers(description: dict[str, Any]) -> None:
    paths = description["paths"]
    assert set(paths) == {
        "/api/v1/messages",
        "/api/v1/messages/batch",
        "/api/v1/messages/{message_id}",
        "/api/v1/accounts/{code}/token",
        "/api/v1/blacklist",
        "/api/v1/blacklist/{entry_id}",
        "/api/v1/consents",
        "/api/v1/consents/lookup",
        "/api/v1/events",
        "/api/v1/presence",
        "/api/v1/quota",
        "/api/v1/schedules",
        "/api/v1/schedules/{schedule_id}",
        "/api/v1/campaigns/{campaign_id}/forecast",
        "/api/v1/approvals",
        "/api/v1/approvals/{approval_id}",
        "/api/v1/approvals/{approval_id}/decision",
    }
    for path in ("/api/v1/messages", "/api/v1/messages/batch"):
        call = paths[path]["post"]
        assert set(call["responses"]) == {"202", "400", "401", "409", "422", "429"}
        assert call["requestBody"]["content"]["application/json"]["examples"]
        (key,) = [one for one in call["parameters"] if one["name"] == "Idempotency-Key"]
        assert (key["in"], key["required"]) == ("header", True)
        assert "Idempotent-Replayed" in call["responses"]["202"]["headers"]
    assert set(paths["/api/v1/messages/{message_id}"]["get"]["responses"]) == {"200", "401", "404"}
    assert set(paths["/api/v1/messages/{message_id}"]["delete"]["responses"]) == {"202", "400", "401", "404"}


def test_it_names_the_fields_and_the_key(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]
    assert {
        "template",
        "policy",
        "steps",
        "ceiling_per_person",
        "class",
        "to",
        "variables",
        "expires_at",
        "client_ref",
    } == set(schemas["SingleRequest"]["properties"])
    assert schemas["BatchRequest"]["properties"]["messages"]["maxItems"] == 5000
    assert description["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"


def test_it_is_valid_and_has_no_gap(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_the_page_needs_nothing_from_outside(client: Client) -> None:
    page = client.get("/api/")
    text = page.content.decode()
    assert page.status_code == 200
    assert not OUTSIDE.findall(text)
    assert OUTSIDE.findall('<script src="https://cdn.example/x.js">')
    own = re.findall(r"""(?:src|href)=["']([^"']+)["']""", text)
    assert own and all(one.startswith("/static/") for one in own), own
