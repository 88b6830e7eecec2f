"""What others ask about accounts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.partners.models import BusinessLine


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What freezing a policy and estimating a price need to know of an account; price is per unit of `price_unit`."""

    id: int
    code: str
    kind: str
    address_kind: str
    receipts: str
    reports_read: bool
    reports_clicks: bool
    price: Decimal
    price_unit: str
    currency: str
    active: bool = True  # not paused


def usable_accounts(business_line: BusinessLine | None) -> QuerySet[ChannelAccount]:
    """Active accounts that the line may use: its own and those of nobody. For None only those of nobody."""
    return _accounts_for(business_line).filter(state=ChannelAccount.State.ACTIVE)


def _accounts_for(business_line: BusinessLine | None) -> QuerySet[ChannelAccount]:
    mine = Q(business_line__isnull=True)
    if business_line is not None:
        mine |= Q(business_line=business_line)
    return ChannelAccount.objects.filter(mine).order_by("code")


def account_facts(business_line: BusinessLine | None) -> list[AccountFacts]:
    """The facts of `usable_accounts` and of those that are paused, by code."""
    return [facts_of(account) for account in _accounts_for(business_line)]


def facts_of(account: ChannelAccount) -> AccountFacts:
    """One account together with what its kind declares."""
    active = account.state == ChannelAccount.State.ACTIVE
    return _facts(account.pk, account.code, account.kind, account.price, account.currency, active)


def _facts(pk: int, code: str, kind: str, price: Decimal, currency: str, active: bool) -> AccountFacts:
    able = adapter(kind).capabilities
    return AccountFacts(
        id=pk,
        code=code,
        kind=kind,
        address_kind=able.address_kind,
        receipts=str(able.receipts),
        reports_read=able.reports_read,
        reports_clicks=able.reports_clicks,
        price=price,
        price_unit=able.price_unit,
        currency=currency,
        active=active,
    )


USABLE_COLUMN = """
(SELECT json_agg(json_build_array(a.id, a.code, a.kind, a.price::text, a.currency, a.state) ORDER BY a.code)::text
 FROM ums_channels_channelaccount a
 WHERE a.business_line_id IS NULL OR a.business_line_id = %s)
"""


@lru_cache(maxsize=256)
def facts_from(column: str) -> tuple[AccountFacts, ...]:
    """`account_facts` out of USABLE_COLUMN, for whoever asks for more in the same statement.

    Kept by its text, so what changed in the database is a new text and never a stale answer.
    """
    return tuple(
        _facts(pk, code, kind, Decimal(price), currency, state == ChannelAccount.State.ACTIVE)
        for pk, code, kind, price, currency, state in json.loads(column)
    )


def open_breakers() -> QuerySet[ChannelAccount]:
    """Accounts whose breaker is open now, the longest first."""
    return ChannelAccount.objects.filter(open_until__gt=Now()).order_by("-open_until")
