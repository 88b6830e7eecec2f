"""What is wrong with a policy, in the reader's language and by the place it is at.

The pure modules say what is wrong in English, with the figures in it; SENTENCES are those sentences with names in their place,
so that they can be translated. A sentence that is not among them is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext, gettext_noop

from apps.campaigns.conditions import with_conditions
from apps.campaigns.policy import BadPolicy, freeze, problems
from apps.campaigns.scoring import weights_problems
from apps.channels.models import ChannelAccount
from apps.channels.selectors import facts_of

SENTENCES = [
    gettext_noop("A policy needs a list `steps` with at least one step."),
    gettext_noop("A step needs a list `channels` with at least one channel."),
    gettext_noop("%(count)s steps; at most %(most)s are allowed."),
    gettext_noop("%(count)s accounts in all; at most %(most)s are allowed."),
    gettext_noop("Use 2, or leave it out."),
    gettext_noop('Give an amount above 0 as text, with a point and up to 5 decimals, such as "0.10".'),
    gettext_noop("Use true or false; leave it out for what the class says."),
    gettext_noop("Use one of: %(known)s."),
    gettext_noop("Give an object of names and numbers from 0 to 1000."),
    gettext_noop("Name the code of the account to send over, or several as `vendors`."),
    gettext_noop("Name either one account or several vendors, not both."),
    gettext_noop("Name one tag."),
    gettext_noop("A text holds a character that cannot be kept (NUL, or half of one): leave it out."),
    gettext_noop("Name a variant of the text: small letters, digits and hyphens, at most 30."),
    gettext_noop("A group needs a list of at least two vendors; for one, name it as `account`."),
    gettext_noop("Name the code of the account to send over."),
    gettext_noop("Give a whole number from 0 (only where no other can) to 1000."),
    gettext_noop("At least one vendor needs a weight above 0."),
    gettext_noop("Give at least one of: %(known)s; or leave it out."),
    gettext_noop("Give a list of tags."),
    gettext_noop("Give an object of attribute keys and values."),
    gettext_noop("Unknown; known are %(known)s."),
    gettext_noop("Give seconds, more than 0 and at most %(most)s."),
    gettext_noop(
        "No channel of this step tells when something was %(goal)s: wait for delivered, or say by own_reports that your own "
        "systems report it."
    ),
    gettext_noop("Use true where your own systems report what was read or clicked, else leave it out."),
    gettext_noop('Give an object such as {"seconds": 259200}, or leave it out.'),
    gettext_noop("Say for how many seconds a message is kept."),
    gettext_noop("Give a text of at most %(most)s characters, or leave it out."),
    gettext_noop("No account %(code)s may be used here."),
    gettext_noop("Account %(code)s is paused: let it go on, or name another."),
    gettext_noop("Every account of this channel is paused: let one go on, or name another."),
    gettext_noop("Account %(code)s stands in this step already."),
    gettext_noop("Account %(code)s is of kind %(kind)s."),
    gettext_noop("Vendors of one channel write to one kind of address, not to %(kinds)s."),
    gettext_noop("Give a number."),
    gettext_noop("Give a rate from 0 to 1, such as 0.8."),
    gettext_noop("Give a number above 0 and at most %(most)s."),
    gettext_noop("Give a number from 0 to %(most)s."),
]


def found_in(plan: object) -> dict[str, str]:
    """Place -> sentence in the reader's language: of the shape, of conditions, accounts and weights as they are now.

    An account may be paused or belong to one business line: which line may use it is judged when a campaign freezes it.
    """
    found = problems(plan)
    if not found and isinstance(plan, Mapping):
        found = {f"weights.{name}": words for name, words in weights_problems(plan.get("weights") or {}).items()}
        found |= _looked_up(plan)
    return {place: in_words(words) for place, words in found.items()}


def _looked_up(plan: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        with_conditions(plan)
    except BadPolicy as bad:
        found |= bad.problems
    try:
        freeze(plan, [replace(facts_of(account), active=True) for account in ChannelAccount.objects.all()])
    except BadPolicy as bad:
        found |= bad.problems
    return found


def in_words(sentence: str) -> str:
    """The sentence in the reader's language."""
    for msgid, pattern in _patterns():
        if match := pattern.fullmatch(sentence):
            return gettext(msgid) % match.groupdict() if match.groupdict() else gettext(msgid)
    return sentence


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(msgid, re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(msgid)))) for msgid in SENTENCES]
