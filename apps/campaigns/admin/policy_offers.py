"""What the policy editor offers to choose from, and its words in the reader's language."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from apps.campaigns.policy_words import GOALS, ORDERS, WEIGHTS
from apps.campaigns.scoring import Weights, said_by
from apps.channels.models import ChannelAccount
from apps.channels.registry import adapter
from apps.users.models import Attribute, Tag

MOST_TAGS = 300


def offers() -> dict[str, Any]:
    """Accounts, tags, attributes, choices and words, as JSON."""
    accounts = ChannelAccount.objects.order_by("code")
    attributes = Attribute.objects.filter(sensitive=False).order_by("key")
    return {
        "accounts": [{"code": one.code, "name": one.name, "label": _(adapter(one.kind).label)} for one in accounts],
        "tags": list(Tag.objects.order_by("name").values_list("name", flat=True)[:MOST_TAGS]),
        "attributes": [{"key": one.key, "label": str(one.label), "type": one.type} for one in attributes],
        "goals": [[code, str(words)] for code, words in GOALS.items()],
        "orders": [[code, str(words)] for code, words in ORDERS.items()],
        "weights": [[name, str(words), said_by(Weights())[name]] for name, words in WEIGHTS.items()],
        "words": _words_of_steps() | _words_of_limits(),
    }


def _words_of_steps() -> dict[str, str]:
    return {
        "step": _("Step"),
        "channel": _("Channel"),
        "account": _("Account"),
        "vendors": _("Several vendors for this channel"),
        "oneVendor": _("One account"),
        "addVendor": _("Add a vendor"),
        "weight": _("Share (weight)"),
        "failover": _("Next vendor after"),
        "mode": _("Send over"),
        "modeFirst": _("the first channel that reaches the person"),
        "modeAll": _("all channels at once"),
        "modeSmart": _("the best channel for the person"),
        "until": _("The next step follows unless it is"),
        "wait": _("within"),
        "waitHint": _("Empty: only after a definite failure."),
        "addChannel": _("Add a channel"),
        "addStep": _("Add a step"),
        "remove": _("Remove"),
        "up": _("Move up"),
        "down": _("Move down"),
        "more": _("Only for some people, another text"),
        "onlyTag": _("Only people with the tag"),
        "everybody": _("everybody"),
        "tagsAny": _("Only with any of the tags"),
        "tagsAll": _("Only with all of the tags"),
        "tagsNone": _("Not with any of the tags"),
        "noTags": _("There are no tags yet."),
        "attribute": _("Only where"),
        "addAttribute": _("Add a condition on an attribute"),
        "is": _("is"),
        "atLeast": _("at least"),
        "atMost": _("at most"),
        "orHint": _("Several values: separate them by commas."),
        "yes": _("yes"),
        "no": _("no"),
        "body": _("Variant of the text"),
        "bodyHint": _("Empty: the text of the channel."),
    }


def _words_of_limits() -> dict[str, str]:
    return {
        "limits": _("Limits"),
        "ceiling": _("At most this much money a person"),
        "ceilingHint": _("For example 0.10; empty: no limit."),
        "expires": _("Give up after"),
        "expiresHint": _("Empty: never."),
        "keep": _("Keep for whoever cannot be reached now, for"),
        "keepHint": _("Empty: not kept. Kept messages stand under “Offline-saved”."),
        "collapse": _("Of kept messages with this key only the newest goes"),
        "unknown": _("An unknown outcome starts the next step"),
        "asClass": _("as the class says"),
        "always": _("yes, even if some get it twice"),
        "never": _("never"),
        "smart": _("Order of the best channel"),
        "order": _("Chosen"),
        "ownWeights": _("Weights of this policy (empty: those of the class)"),
        "seconds": _("seconds"),
        "minutes": _("minutes"),
        "hours": _("hours"),
        "days": _("days"),
        "unit": _("unit"),
        "cannotDraw": _("The picture follows once the marked fields are mended."),
        "problems": _("To be mended:"),
    }
