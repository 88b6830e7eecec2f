"""The most that messages named one by one can cost, from their own values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from apps.campaigns.models import Campaign, Message, MessagePayload
from apps.campaigns.pipeline.window import PAYLOAD_PLACE
from apps.campaigns.policy import load
from apps.channels.prices import prices_of_class
from apps.channels.registry import adapter
from apps.channels.selectors import AccountFacts, account_facts
from apps.templates.models import TemplateVersion
from apps.templates.render import RenderError
from apps.templates.selectors import compiled, example_values
from ums_site.crypto import keyring
from ums_site.ids import first_row_id


def worst_price(
    campaign: Campaign, version: TemplateVersion, values: Sequence[Mapping[str, Any]], accounts: Iterable[AccountFacts]
) -> tuple[Decimal, str]:
    """What messages with these values cost at most, every channel of every step for everybody, and the currency.

    A person's attributes are not known yet: a text is measured with the call's values and the template's examples.
    """
    facts = {one.id: one for one in accounts}
    prices = prices_of_class(facts, campaign.message_class)
    examples = example_values(version)
    total = Decimal(0)
    for slot in load(campaign.plan).channels():
        body, kind = compiled(version.pk, slot.body_key), adapter(slot.kind)
        price = prices[slot.account_id]
        if not price:
            continue
        for held in values:
            try:
                total += price * kind.pieces(body.render({**examples, **held}))
            except RenderError:
                total += price
    currency = next((facts[slot.account_id].currency for slot in load(campaign.plan).channels()), "CNY")
    return total.quantize(Decimal("0.01")), currency


def worst_of_rows(campaign: Campaign) -> tuple[int, Decimal]:
    """How many messages an API call has named, and what they cost at most, read from the rows themselves."""
    first = first_row_id(campaign.pk)
    ids = list(Message.objects.filter(campaign_id=campaign.pk, id__gte=first).values_list("pk", flat=True))
    sealed = dict(MessagePayload.objects.filter(pk__in=ids).values_list("pk", "sealed"))
    opened = [json.loads(keyring().open(sealed[one], PAYLOAD_PLACE)) if one in sealed else {} for one in ids]
    facts = account_facts(campaign.business_line)
    return len(ids), worst_price(campaign, campaign.template_version, opened, facts)[0]
