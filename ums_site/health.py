"""`/livez` and `/readyz`: whether this process should be restarted, and whether it should get requests."""

from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from redis import Redis
from redis.exceptions import RedisError


@never_cache
def livez(_request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "alive"})


@never_cache
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 ready, 200 degraded (Redis is away: slower, nothing is lost), 503 when requests would fail."""
    found: dict[str, Any] = {"database": _database(), "migrations": "unknown", "redis": _redis()}
    if found["database"] == "writable":
        found["migrations"] = _migrations()
    ready = found["database"] == "writable" and found["migrations"] == "applied"
    status = "unready" if not ready else "ready" if found["redis"] == "reachable" else "degraded"
    return JsonResponse({"status": status, **found}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'")
            return "read-only" if cursor.fetchone()[0] else "writable"
    except DatabaseError:
        return "unreachable"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connection)
    except DatabaseError:
        return "unknown"
    return "missing" if executor.migration_plan(executor.loader.graph.leaf_nodes()) else "applied"


def _redis() -> str:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as redis:
            redis.ping()
    except RedisError:
        return "unreachable"
    return "reachable"
