"""What others ask about accounts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

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
    price: Decimal
    price_unit: str
    currency: str


def usable_accounts(business_line: BusinessLine | None) -> QuerySet[ChannelAccount]:
    """Active accounts that the line may use: its own and those of nobody. For None only those of nobody."""
    mine = Q(business_line__isnull=True)
    if business_line is not None:
        mine |= Q(business_line=business_line)
    return ChannelAccount.objects.filter(mine, state=ChannelAccount.State.ACTIVE).order_by("code")


def account_facts(business_line: BusinessLine | None) -> list[AccountFacts]:
    """The facts of `usable_accounts`, by code."""
    return [facts_of(account) for account in usable_accounts(business_line)]


def facts_of(account: ChannelAccount) -> AccountFacts:
    """One account together with what its kind declares."""
    able = adapter(account.kind).capabilities
    return AccountFacts(
        id=account.pk,
        code=account.code,
        kind=account.kind,
        address_kind=able.address_kind,
        receipts=str(able.receipts),
        price=account.price,
        price_unit=able.price_unit,
        currency=account.currency,
    )


def open_breakers() -> QuerySet[ChannelAccount]:
    """Accounts whose breaker is open now, the longest first."""
    return ChannelAccount.objects.filter(open_until__gt=Now()).order_by("-open_until")
