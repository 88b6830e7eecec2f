"""Looking up addresses: whose mobile number a provider knows gets that provider's own address, such as a userid.

People are asked about one by one, some at a time, and what was found is kept every so often: an end in the middle loses
nothing, and a second run asks only about those who still have no address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from apps.channels import tokens
from apps.channels.contract import Account, Adapter, HttpAnswer
from apps.channels.models import ChannelAccount
from apps.channels.outcomes import Misconfigured, Outcome, StaleToken, Throttled
from apps.channels.registry import adapter
from apps.channels.transport.http import HttpClient
from apps.operators import audit
from apps.users.addressing import AddressRefused, prepare
from apps.users.errors import PeopleError
from apps.users.models import Binding
from ums_site.crypto import binding_place, keyring

AT_ONCE = 10  # calls in flight: a lookup is a favour, and its limits are low
KEPT_EVERY = 200
Progress = Callable[["Found"], None]


@dataclass(slots=True)
class Found:
    """How far it is: people asked about, addresses found, numbers that the provider does not know, and what stopped it."""

    asked: int = 0
    found: int = 0
    unknown: int = 0
    failed: int = 0
    stopped: str = ""


def can_look_up(account: ChannelAccount) -> bool:
    """Whether the account's kind answers such questions."""
    return type(adapter(account.kind)).build_lookup is not Adapter.build_lookup


def look_up(
    *,
    actor: object,
    account: ChannelAccount,
    tag: str = "",
    most: int | None = None,
    tell: Progress = lambda _found: None,
) -> Found:
    """Asks about everybody (with this tag) who has a phone number and no address of the account's kind yet.

    Ends early, with the reason in `stopped`, where the provider refuses the account or has enough. Must not be called
    inside a transaction. Raises PeopleError for a kind that answers no such question, or where it gives no token.
    """
    if not can_look_up(account):
        raise PeopleError(_("This kind of channel does not look addresses up by mobile number."))
    try:
        sender, _version = tokens.signed_in(account)
    except tokens.TokenRefused as refused:
        words = getattr(refused.outcome, "words", "")
        raise PeopleError(_("The provider gives no access token: %(words)s"), words=words) from refused
    found = Found()
    client = HttpClient(max_in_flight=AT_ONCE, timeout_s=settings.UMS_TIMERS.t_http)
    try:
        _ask_all(client, sender, _people(adapter(account.kind).capabilities.address_kind, tag, most), found, tell)
    finally:
        client.close()
    detail = {"code": account.code, "asked": found.asked, "found": found.found, "stopped": found.stopped}
    audit.record(actor=actor, verb="look_up_addresses", what=account, detail=detail)
    return found


PEOPLE = """
SELECT r.id, p.address, p.address_hash FROM users_recipient r
JOIN LATERAL (SELECT address, address_hash FROM users_binding p WHERE p.recipient_id = r.id AND p.address_kind = 'phone'
              AND p.state = 'ACTIVE' ORDER BY p.id LIMIT 1) p ON true
WHERE r.id > %(after)s AND (%(tag)s = '' OR %(tag)s = ANY(r.tags))
  AND NOT EXISTS (SELECT 1 FROM users_binding b WHERE b.recipient_id = r.id AND b.address_kind = %(kind)s)
ORDER BY r.id LIMIT %(most)s
"""


def _people(kind: str, tag: str, most: int | None) -> Iterator[tuple[int, str]]:
    """(recipient, phone number), a page at a time."""
    after, left = 0, most
    while left is None or left > 0:
        page = KEPT_EVERY if left is None else min(KEPT_EVERY, left)
        with connection.cursor() as cursor:
            cursor.execute(PEOPLE, {"after": after, "tag": tag, "kind": kind, "most": page})
            rows = cursor.fetchall()
        for recipient_id, sealed, hashed in rows:
            yield recipient_id, keyring().open(sealed, binding_place(hashed))
        if len(rows) < page:
            return
        after, left = rows[-1][0], None if left is None else left - len(rows)


def _ask_all(
    client: HttpClient, sender: Account, people: Iterator[tuple[int, str]], found: Found, tell: Progress
) -> None:
    kind, kept = adapter(sender.kind), []
    asking = True
    while asking or client.in_flight:
        while asking and not found.stopped and client.in_flight < AT_ONCE:
            person = next(people, None)
            if person is None:
                asking = False
            else:
                client.start(person[0], kind.build_lookup(sender, person[1]))
        asking = asking and not found.stopped
        for recipient_id, answer in client.poll(1.0):
            found.asked += 1
            address = kind.read_lookup(sender, answer) if isinstance(answer, HttpAnswer) else None
            if isinstance(address, str) and address:
                kept.append((recipient_id, address))
            else:
                _note(found, address)
        if len(kept) >= KEPT_EVERY:
            found.found += _keep(kind.capabilities.address_kind, kept)
            kept.clear()
            tell(found)
    found.found += _keep(kind.capabilities.address_kind, kept)
    tell(found)


def _note(found: Found, said: str | Outcome | None) -> None:
    """Counts an answer without an address; one that says something of the account ends the run."""
    if said == "":
        found.unknown += 1
    else:
        found.failed += 1
        if isinstance(said, Misconfigured | Throttled | StaleToken):
            found.stopped = said.words


def _keep(kind: str, rows: list[tuple[object, str]]) -> int:
    made = []
    for recipient_id, address in rows:
        try:
            ready = prepare(kind, address)
        except AddressRefused:
            continue
        made.append(
            Binding(
                recipient_id=recipient_id,
                address_kind=ready.kind,
                address=ready.sealed,
                address_hash=ready.hash,
                address_masked=ready.masked,
            )
        )
    Binding.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)
