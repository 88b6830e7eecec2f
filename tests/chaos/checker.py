"""The judge: our rows against the providers' ledger, invariant by invariant (reliability, section 2.13).

The ledger is loaded into a temporary table; every check is a count of rows that must not be there. One delivery has one
address in a campaign here, so an address stands for its delivery.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg2.extras import execute_values

from apps.channels.providers.sms_aliyun.adapter import plain_phone
from ums_site.crypto import binding_place, keyring
from ums_site.ids import to_base36

TABLES = """
DROP TABLE IF EXISTS chaos_ledger, chaos_delivery;
CREATE TEMP TABLE chaos_ledger (t timestamptz, ev text, key text, ref text, addr text, pid text);
CREATE TEMP TABLE chaos_delivery AS SELECT d.*, '' AS addr, '' AS ref FROM campaigns_delivery d WHERE false;
"""
OURS = """
INSERT INTO chaos_delivery SELECT d.*, v.addr, v.ref
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v(id, addr, ref) JOIN campaigns_delivery d ON d.id = v.id
"""
TAKEN = "('ACCEPTED', 'DELIVERED', 'READ', 'CLICKED', 'UNDELIVERED', 'CLOSED')"

# lost: a target that nobody accounts for, an acceptance that we deny, or one that we claim and nobody saw
LOST = {
    "targets without a message": "SELECT greatest(0, %(n)s - count(DISTINCT recipient_id)) FROM campaigns_message "
    "WHERE campaign_id = %(campaign)s",
    "messages without a final state": "SELECT count(*) FROM campaigns_message WHERE campaign_id = %(campaign)s "
    "AND state IN ('PLANNED', 'ACTIVE')",
    "messages given up although nobody refused": "SELECT count(*) FROM campaigns_message "
    "WHERE campaign_id = %(campaign)s AND state NOT IN ('PLANNED', 'ACTIVE', 'SUCCEEDED', 'UNKNOWN') AND NOT %(refusals)s",
    "accepted says our row, the ledger does not": f"SELECT count(*) FROM chaos_delivery d WHERE state IN {TAKEN} "
    "AND NOT EXISTS (SELECT 1 FROM chaos_ledger l WHERE l.addr = d.addr AND l.ev = 'accept')",
    "accepted says the ledger, our row denies it": f"SELECT count(*) FROM chaos_delivery d WHERE state NOT IN {TAKEN} "
    "AND state NOT IN ('UNKNOWN', 'UNKNOWN_FINAL') "
    "AND EXISTS (SELECT 1 FROM chaos_ledger l WHERE l.addr = d.addr AND l.ev = 'accept')",
}
DUPLICATES = {
    "address accepted again": "SELECT coalesce(sum(times - 1), 0) FROM (SELECT count(*) AS times FROM chaos_ledger l "
    "LEFT JOIN chaos_delivery d ON d.addr = l.addr WHERE l.ev = 'accept' AND NOT coalesce(d.may_duplicate, false) "
    "GROUP BY l.addr) one",
}
INVARIANTS = {
    "I1 open rows at rest": "SELECT count(*) FROM chaos_delivery WHERE state IN ('PENDING', 'HELD', 'SENDING', 'UNKNOWN')",
    "I1 batches not done at rest": "SELECT count(*) FROM campaigns_batch WHERE campaign_id = %(campaign)s "
    "AND (state <> 'DONE' OR suspect_at IS NOT NULL)",
    "I2 message and delivery disagree": "SELECT count(*) FROM chaos_delivery d JOIN campaigns_message m "
    "ON m.id = d.message_id WHERE (m.state = 'UNKNOWN') <> (d.state = 'UNKNOWN_FINAL')",
    "I2 attempt after an accepted one": "SELECT count(*) FROM campaigns_attempt a JOIN campaigns_attempt b "
    "ON b.delivery_id = a.delivery_id AND b.number > a.number WHERE a.outcome = 'accepted'",
    "I2 attempts do not count": "SELECT count(*) FROM chaos_delivery d WHERE attempts <> "
    "(SELECT count(*) FROM campaigns_attempt a WHERE a.delivery_id = d.id)",
    "I3 accepted again after we knew": "SELECT count(*) FROM chaos_ledger l JOIN chaos_delivery d ON d.addr = l.addr "
    "JOIN campaigns_attempt a ON a.delivery_id = d.id AND a.outcome = 'accepted' "
    "WHERE l.ev = 'accept' AND l.t > a.finished_at",
    "I5 accepted without an intent": "SELECT count(*) FROM chaos_ledger l LEFT JOIN chaos_delivery d ON d.addr = l.addr "
    "WHERE NOT EXISTS (SELECT 1 FROM campaigns_attempt a WHERE a.delivery_id = d.id "
    "AND (l.key IN (a.key, '') OR NOT %(our_keys)s) "  # a session carries no key
    "AND a.intent_at <= l.t)",
    "I6 a provider's id that it never gave": "SELECT count(*) FROM chaos_delivery d WHERE provider_id <> '' "
    "AND NOT EXISTS (SELECT 1 FROM chaos_ledger l WHERE l.addr = d.addr AND l.pid = d.provider_id)",
    "I10 a person twice": "SELECT count(*) FROM (SELECT 1 FROM campaigns_message WHERE campaign_id = %(campaign)s "
    "GROUP BY recipient_id HAVING count(*) > 1) one",
    "I10 a delivery twice": "SELECT count(*) FROM (SELECT 1 FROM chaos_delivery "
    "GROUP BY recipient_id, account_id, step HAVING count(*) > 1) one",
}


@dataclass(slots=True)
class Findings:
    """What was counted, and in words what must not be."""

    accepted: int
    lost: int
    duplicates: int
    unknown: int
    problems: list[str] = field(default_factory=list)


def check(
    campaign_id: int, ledger: Path, n: int, refusals: bool = False, provider: str = "", our_keys: bool = True
) -> Findings:
    """Judges a campaign at rest by what one provider, or all, took. `refusals`: they were told to refuse, messages may fail.

    Without `our_keys` the provider writes down a key of its own making: then only the address says which intent it was.
    """
    lines = map(json.loads, ledger.read_text().splitlines())
    load(campaign_id, [one for one in lines if not provider or one["provider"] == provider])
    values = {"campaign": campaign_id, "n": n, "refusals": refusals, "our_keys": our_keys}
    problems: list[str] = []
    lost = _counted(LOST, values, problems)
    duplicates = _counted(DUPLICATES, values, problems)
    _counted(INVARIANTS, values, problems)
    accepted = _one("SELECT count(DISTINCT addr) FROM chaos_ledger WHERE ev = 'accept'", values)
    unknown = _one("SELECT count(*) FROM chaos_delivery WHERE state = 'UNKNOWN_FINAL'", values)
    return Findings(accepted, lost, duplicates, unknown, problems)


def load(campaign_id: int, lines: Iterable[Mapping[str, Any]]) -> None:
    """Puts the ledger, and our deliveries with the hash the ledger writes for their address, into temporary tables."""
    rows = [(one["t"], one["ev"], one["key"], one["delivery_ref"], one["addr_hash"], str(one["pid"])) for one in lines]
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        template = "(to_timestamp(%s), %s, %s, %s, %s, %s)"
        if rows:
            execute_values(cursor.cursor, "INSERT INTO chaos_ledger VALUES %s", rows, template, page_size=1000)
        hashes = address_hashes(campaign_id)
        cursor.execute(OURS, [list(hashes), list(hashes.values()), [to_base36(one) for one in hashes]])
        cursor.execute(
            "CREATE INDEX ON chaos_ledger (addr); CREATE INDEX ON chaos_delivery (addr); ANALYZE chaos_ledger"
        )


def address_hashes(campaign_id: int) -> dict[int, str]:
    """Delivery id -> sha256 of its address, as the simulator writes it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id, b.address_kind, b.address, b.address_hash FROM campaigns_delivery d "
            "JOIN users_binding b ON b.id = d.binding_id WHERE d.campaign_id = %s",
            [campaign_id],
        )
        found = {}
        for delivery_id, kind, sealed, hashed in cursor.fetchall():
            address = keyring().open(sealed, binding_place(hashed))
            shown = plain_phone(address) if kind == "phone" else address
            found[delivery_id] = hashlib.sha256(shown.encode()).hexdigest()
        return found


def _counted(checks: Mapping[str, str], values: Mapping[str, Any], problems: list[str]) -> int:
    total = 0
    for words, sql in checks.items():
        count = _one(sql, values)
        total += count
        if count:
            problems.append(f"{words}: {count}")
    return total


def _one(sql: str, values: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.fetchone()[0])
