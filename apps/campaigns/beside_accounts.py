"""What this app knows beside an account: today's deliveries over it, whom it could write to, and with which text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.campaigns.preview_person import lookup
from apps.channels.above import Blank, Bound, Figures
from apps.channels.errors import AccountError
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.operators import audit
from apps.templates import selectors as texts
from apps.templates.errors import TemplateError
from apps.templates.models import TemplateVersion
from apps.templates.render import BadTemplate, BadValue, MissingValue, RenderError, placeholders
from apps.templates.words import refuse_words
from apps.users.addressing import AddressRefused, hash_of
from apps.users.audience import blocked_binding, blocked_recipient, blocked_way
from apps.users.models import Binding, Recipient, Scope
from ums_site.crypto import binding_place, keyring
from ums_site.ids import first_id_at
from ums_site.kept import kept

SEE_PEOPLE = "users.view_recipient"
MOST_TEXTS = 300

# What was planned yesterday may be tried today (a pace, a quiet night); what is older is not looked for.
TODAY = """
SELECT account_id, count(*) FILTER (WHERE today), count(*) FILTER (WHERE today AND accepted_at IS NOT NULL),
       count(*) FILTER (WHERE today AND state IN ('DELIVERED', 'READ', 'CLICKED')),
       count(*) FILTER (WHERE today AND state = 'REJECTED'),
       count(*) FILTER (WHERE today AND state IN ('UNKNOWN', 'UNKNOWN_FINAL')),
       count(*) FILTER (WHERE state IN ('PENDING', 'HELD')),
       coalesce(sum(pieces) FILTER (WHERE today AND accepted_at IS NOT NULL), 0),
       coalesce(sum(cost) FILTER (WHERE today AND accepted_at IS NOT NULL), 0),
       count(*) FILTER (WHERE hour), count(*) FILTER (WHERE hour AND accepted_at IS NOT NULL),
       count(*) FILTER (WHERE hour AND accepted_at IS NULL AND state IN ('REJECTED', 'UNKNOWN', 'UNKNOWN_FINAL', 'HELD'))
FROM (SELECT account_id, state, accepted_at, pieces, cost, coalesce(first_intent_at >= %s, false) AS today,
             coalesce(first_intent_at >= now() - interval '1 hour', false) AS hour
      FROM campaigns_delivery WHERE id >= %s) AS d
GROUP BY account_id
"""


class BesideAccounts:
    """See `apps.channels.above.Above`."""

    def figures(self) -> Mapping[int, Figures]:
        return kept("account-figures", _count)

    def may_see_people(self, actor: Any) -> bool:
        return bool(actor.has_perm(SEE_PEOPLE))

    def bindings(self, user_id: str, account: ChannelAccount) -> Sequence[Bound] | None:
        recipient = Recipient.objects.filter(user_id=user_id).first()
        if recipient is None:
            return None
        held = Binding.objects.filter(recipient=recipient, address_kind=_address_kind(account)).order_by("id")
        blocked = _blocked(account, recipient.pk)
        return [
            Bound(one.pk, one.address_masked, _where(one), _refusal(one, one.pk in blocked))
            for one in held
            if _fits(one, account)
        ]

    def opened(self, binding_id: int, user_id: str, account: ChannelAccount) -> str:
        offered = {one.id: one for one in self.bindings(user_id, account) or ()}
        if binding_id not in offered:
            raise AccountError({"binding": _("Choose one of this person's addresses.")})
        if words := offered[binding_id].refusal:
            raise AccountError({"binding": words})
        held = Binding.objects.get(pk=binding_id)
        return keyring().open(held.address, binding_place(held.address_hash))

    def refusal(self, address: str, account: ChannelAccount) -> str:
        try:
            hashed = hash_of(_address_kind(account), address)
        except AddressRefused as refused:
            return str(refused)
        sql, values = blocked_binding(
            business_line_id=account.business_line_id, account_id=account.pk, kind=account.kind
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {sql} FROM (SELECT %s::bytea AS address_hash) AS b", [*values, hashed])
            return _("This address is on the blacklist.") if cursor.fetchone()[0] else ""

    def texts(self, kind: str) -> Sequence[tuple[int, str]]:
        newest = TemplateVersion.objects.filter(bodies__has_key=kind).order_by("template_id", "-number")
        found = newest.distinct("template_id").select_related("template")[:MOST_TEXTS]
        return sorted(((one.pk, f"{one} ({one.template.code})") for one in found), key=lambda one: one[1])

    def blanks(self, actor: Any, text_id: int, kind: str, user_id: str) -> Sequence[Blank]:
        version = _version(text_id, kind)
        names = placeholders(version.bodies[kind], adapter(kind).content_fields)
        values: dict[str, object] = {}
        if user_id and self.may_see_people(actor) and (held := lookup(actor, user_id)) is not None:
            audit.record(actor=actor, verb="preview_with_person", what=version, detail={"user_id": user_id})
            values = {**held, "user_id": user_id}
        labels = {one["name"]: one.get("label") or one["name"] for one in version.variables}
        given = {name: example for name, example in texts.example_values(version).items() if not values} | values
        return [Blank(name, labels.get(name, name), _plain(given.get(name))) for name in names]

    def content(self, text_id: int, kind: str, values: Mapping[str, str]) -> Mapping[str, Any]:
        _version(text_id, kind)
        try:
            return texts.compiled(text_id, kind).render(values)
        except MissingValue as missing:
            raise AccountError({f"value_{name}": _("A value is needed.") for name in missing.names}) from None
        except BadValue as bad:
            raise AccountError({f"value_{bad.name}": str(bad)}) from None
        except (RenderError, BadTemplate) as refused:
            raise AccountError({"": str(refused)}) from None

    def words_against(self, content: Mapping[str, Any], account: ChannelAccount) -> str:
        try:
            refuse_words(content, line=account.business_line_id, kind=account.kind)
        except TemplateError as refused:
            return str(refused)
        return ""


def _count() -> dict[int, Figures]:
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(TODAY, [today, first_id_at(today - timedelta(days=1))])
        return {account_id: Figures(*counts) for account_id, *counts in cursor.fetchall()}


def _address_kind(account: ChannelAccount) -> str:
    return adapter(account.kind).capabilities.address_kind


def _fits(one: Binding, account: ChannelAccount) -> bool:
    """An account of one business line writes to no address that was given to another line."""
    if one.scope == Scope.ACCOUNT:
        return one.scope_id == account.pk
    return one.scope == Scope.EVERYWHERE or account.business_line_id in (None, one.scope_id)


def _where(one: Binding) -> str:
    return "" if one.scope == Scope.EVERYWHERE else str(one.get_scope_display())


def _refusal(one: Binding, blocked: bool) -> str:
    if blocked:
        return _("on the blacklist")
    return "" if one.state == Binding.State.ACTIVE else str(one.get_state_display())


def _blocked(account: ChannelAccount, recipient_id: int) -> set[int]:
    """The bindings of a person that are blacklisted, themselves or with the person."""
    line = account.business_line_id
    person, of_person = blocked_recipient(business_line_id=line)
    way, of_way = blocked_way(business_line_id=line, account_id=account.pk, kind=account.kind)
    address, of_address = blocked_binding(business_line_id=line, account_id=account.pk, kind=account.kind)
    sql = (
        "SELECT b.id FROM users_binding b JOIN users_recipient r ON r.id = b.recipient_id "
        f"WHERE r.id = %s AND ({person} OR {way} OR {address})"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [recipient_id, *of_person, *of_way, *of_address])
        return {found for (found,) in cursor.fetchall()}


def _version(text_id: int, kind: str) -> TemplateVersion:
    found = TemplateVersion.objects.filter(pk=text_id, bodies__has_key=kind).first()
    if found is None:
        raise AccountError({"text": _("This text has no body for the account's kind of channel.")})
    return found


def _plain(value: object) -> str:
    if value is None:
        return ""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
