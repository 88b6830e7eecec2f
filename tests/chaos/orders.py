"""F34, F35: what people order while a campaign runs: somebody never to be written to again, a pause, another pace, an end."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, connections

from apps.campaigns.errors import CampaignError
from apps.campaigns.services import cancel_campaign, change_pace, pause_campaign, resume_campaign
from apps.users.models import Recipient
from apps.users.services import add_blacklist
from tests.chaos.checker import address_hashes
from tests.chaos.expected import Expected
from tests.chaos.field import OPEN, Field, send_signal

WINDOWS = 2  # a sender holds at most so many open
LISTED_EACH = 25
ONE_WINDOW_S = 1.0  # the rules are read right before an intent: within one statement, in truth
ON_THE_WIRE_S = 2.0  # a call that was begun by then reaches the provider
QUIET_S = 1.5  # what was in flight has ended; the rows of a killed sender take longer, and are not waited for


def blacklisted_meanwhile(ground: Field) -> Expected:
    """F34: people are put on the blacklist while the campaign runs; a window after the commit no intent follows (I9)."""
    ground.prepare()
    ground.start_crew()
    ground.wait(ground.sent, 30, "the first send")
    people = list(Recipient.objects.order_by("?")[: ground.n // 4])
    for start in range(0, len(people), LISTED_EACH):
        for person in people[start : start + LISTED_EACH]:
            add_blacklist(actor="chaos", recipient=person, reason="asked", source="chaos")
        if ground.at_rest():
            break
    ground.rest(120)
    late = ground.one(
        "SELECT count(*) FROM users_blacklistentry e JOIN campaigns_delivery d ON d.recipient_id = e.recipient_id "
        "JOIN campaigns_attempt a ON a.delivery_id = d.id WHERE d.campaign_id = %s "
        "AND a.intent_at > e.created_at + make_interval(secs => %s)",
        ground.campaign.pk, ONE_WINDOW_S,
    )  # fmt: skip
    spared = ground.one(
        "SELECT count(*) FROM campaigns_message WHERE campaign_id = %s AND state = 'BLOCKED' AND reason = 'blacklisted'",
        ground.campaign.pk,
    )
    written = ground.one(
        "SELECT count(*) FROM campaigns_message m JOIN users_blacklistentry e ON e.recipient_id = m.recipient_id "
        "WHERE m.campaign_id = %s AND m.state = 'BLOCKED' AND EXISTS (SELECT 1 FROM campaigns_delivery d JOIN "
        "campaigns_attempt a ON a.delivery_id = d.id WHERE d.message_id = m.id)",
        ground.campaign.pk,
    )
    taken = _taken_late(ground)
    found = Expected(0, 0, f"{spared} spared")
    found.hold(not late, f"{late} intents for people who had been on the list for a window")
    found.hold(not taken, f"I9: the ledger shows {taken} messages to people who had been on the list")
    found.hold(not written, f"{written} were written to and called blocked all the same")
    found.hold(bool(spared), "nobody was spared: the campaign was over before")
    return found


def _taken_late(ground: Field) -> int:
    """Acceptances, by the ledger alone, of people who had been on the list for longer than a call that was begun can take."""
    hashes = address_hashes(ground.campaign.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id, extract(epoch FROM e.created_at)::float8 FROM users_blacklistentry e "
            "JOIN campaigns_delivery d ON d.recipient_id = e.recipient_id WHERE d.campaign_id = %s",
            [ground.campaign.pk],
        )
        listed = {hashes[delivery]: at for delivery, at in cursor.fetchall()}
    least = ONE_WINDOW_S + ON_THE_WIRE_S
    accepted = [one for one in ground.ledger_lines() if one["ev"] == "accept"]
    return sum(1 for one in accepted if one["t"] > listed.get(one["addr_hash"], float("inf")) + least)


def ordered_about(ground: Field) -> Expected:
    """F35: paused, resumed, slowed and let go at random, a sender killed in between; resumed for good, nobody is lost."""
    ground.prepare()
    ground.start_crew()
    ground.wait(ground.sent, 30, "the first send")
    pauses = late = on_the_wire = killed = 0
    for _round in range(8):
        time.sleep(ground.luck.uniform(0.1, 0.5))
        if not _ordered(ground, "pause"):
            break
        pauses += 1
        begun, taken = _after_pause(ground)
        late, on_the_wire = max(late, begun), max(on_the_wire, taken)
        if ground.luck.random() < 0.4 and (horses := ground.horses()):
            killed += send_signal([ground.luck.choice(horses)])
        if ground.luck.random() < 0.6:
            pace = ground.luck.choice([None, Decimal(400), Decimal(2000)])
            change_pace(actor="chaos", campaign=ground.campaign, pace_per_second=pace)
        _ordered(ground, "resume")
    change_pace(actor="chaos", campaign=ground.campaign, pace_per_second=None)
    ground.rest(120)
    of_each, senders = WINDOWS * ground.profile.window, ground.profile.gateways or len(ground.senders)
    words = f"{pauses} pauses, {killed} kills, at most {on_the_wire} on the wire at a pause"
    found = Expected(0 if ground.profile.keyed else killed * of_each, note=words)
    found.hold(pauses > 0, "it was over before the first pause")
    found.hold(not late, f"{late} intents were committed after a pause was")
    found.hold(on_the_wire <= senders * of_each, f"{on_the_wire} were sent after a pause, more than was in flight")
    return found


def cancelled_while_paused(ground: Field) -> Expected:
    """F35 b: paused, and called off for good by one while another resumes it: one of them is told no, and nothing more goes."""
    ground.prepare()
    ground.start_crew()
    ground.wait(lambda: ground.sent() > ground.n // 8, 40, "the first eighth")
    _ordered(ground, "pause")
    both = [threading.Thread(target=_alone, args=(ground, what)) for what in ("resume", "cancel")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    ended = connection_now()
    still_open = f"SELECT count(*) FROM campaigns_delivery WHERE campaign_id = %s AND state IN {OPEN}"
    ground.wait(lambda: not ground.one(still_open, ground.campaign.pk), 60, "the end of all that was begun")
    late = ground.one("SELECT count(*) FROM campaigns_attempt WHERE intent_at > %s", ended)
    found = Expected(0, 0)
    state = ground.one("SELECT state FROM campaigns_campaign WHERE id = %s", ground.campaign.pk)
    found.hold(state == "CANCELLED", f"it is {state}, not cancelled")
    found.hold(not late, f"{late} intents after the campaign was called off")
    return found


def connection_now() -> Any:
    """The database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def _after_pause(ground: Field) -> tuple[int, int]:
    """Intents (none: the fence asks in their transaction) and acceptances since the pause was committed."""
    paused: datetime = connection_now()
    end = time.monotonic() + QUIET_S
    while ground.sending() and time.monotonic() < end:
        time.sleep(0.02)
    begun = int(ground.one("SELECT count(*) FROM campaigns_attempt WHERE intent_at > %s", paused))
    return begun, sum(1 for one in ground.ledger_lines() if one["ev"] == "accept" and one["t"] > paused.timestamp())


def _ordered(ground: Field, what: str) -> bool:
    """False where the campaign was no longer in a state for it."""
    deed = {"pause": pause_campaign, "resume": resume_campaign, "cancel": cancel_campaign}[what]
    try:
        deed(actor="chaos", campaign=ground.campaign)
    except CampaignError:
        return False
    return True


def _alone(ground: Field, what: str) -> None:
    try:
        _ordered(ground, what)
    finally:
        connections.close_all()
