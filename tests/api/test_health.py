"""`/livez` and `/readyz` with real servers, one of them taken away."""

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings


def test_alive_without_a_database(client: Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}


@pytest.mark.django_db
def test_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "database": "writable",
        "migrations": "applied",
        "redis": "reachable",
    }


@pytest.mark.django_db
def test_without_redis_it_is_slower_but_serves(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"], answer.json()["redis"]) == (200, "degraded", "unreachable")


@pytest.mark.django_db
def test_a_missing_migration_keeps_requests_away(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["migrations"]) == (503, "missing")


def test_the_api_page_loads_nothing_from_outside(client: Client) -> None:
    page = client.get("/api/").content.decode()
    assert "swagger-ui-bundle" in page
    assert "//cdn" not in page and "https://" not in page


def test_the_root_leads_to_the_console(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/console/"
