"""The decision ledger as people read it: one sentence for each decision, the codes it was made by behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from apps.campaigns.models import Campaign, Decision
from apps.campaigns.words import reason_in_words

Facts = Mapping[str, str]


def in_words(decision: Decision, campaign: Campaign | None) -> tuple[str, str]:
    """(what was decided, the codes behind it) of one decision; `campaign` names the channels behind its marks."""
    facts = facts_of(decision.detail)
    said = _sentence(decision, facts)
    reached = _reached(facts, campaign)
    return said, " · ".join(part for part in (reached, _codes(facts)) if part)


def facts_of(detail: str) -> dict[str, str]:
    """`a=1 b=2` as a mapping; a detail of another form is the fact `why`."""
    parts = [part.partition("=") for part in detail.split()]
    if detail and all(mark for _key, mark, _value in parts):
        return {key: value for key, _mark, value in parts}
    return {"why": detail} if detail else {}


def _sentence(decision: Decision, facts: Facts) -> str:
    if decision.rule == "target":
        return _("The policy begins with step %(step)s.") % {"step": decision.step + 1}
    if decision.rule in ("reissue", "alternative"):
        return _reissue(decision, facts)
    if decision.rule == "route":
        return _("Step %(step)s goes over %(accounts)s.") % {
            "step": decision.step + 1,
            "accounts": _listed(facts.get("chosen", "").split(",")),
        }
    rule = reason_in_words(decision.rule)
    if decision.verdict == "stop":
        return _("Not sent: %(rule)s.") % {"rule": rule}
    if decision.verdict == "hold":
        until = _moment(facts.get("until", ""))
        if until:
            return _("Waits until %(time)s: %(rule)s.") % {"time": until, "rule": rule}
        return _("Waits: %(rule)s.") % {"rule": rule}
    return _("Goes on: %(rule)s.") % {"rule": rule}


def _reissue(decision: Decision, facts: Facts) -> str:
    why = reason_in_words(facts.get("why", "") or facts.get("reason", ""))
    if decision.verdict == "stop":
        return _("No further step reaches the person (%(why)s).") % {"why": why}
    if decision.rule == "alternative":
        return _("Step %(step)s goes on with what is left of it: %(why)s.") % {"step": decision.step + 1, "why": why}
    return _("Step %(step)s follows: %(why)s.") % {"step": decision.step + 1, "why": why}


def _moment(text: str) -> str:
    moment = parse_datetime(text) if text else None
    return date_format(localtime(moment), "Y-m-d H:i:s") if moment else ""


def _reached(facts: Facts, campaign: Campaign | None) -> str:
    """The marks of the channels, one a slot of the plan, with their accounts' codes."""
    marks = facts.get("reached")
    if not marks or campaign is None:
        return ""
    accounts = [one["account"] for step in campaign.plan["steps"] for one in step["channels"]]
    yes = [code for code, mark in zip(accounts, marks, strict=False) if mark == "+"]
    no = [code for code, mark in zip(accounts, marks, strict=False) if mark != "+"]
    said = [_("reachable over %(accounts)s") % {"accounts": _listed(yes)}] if yes else []
    if no:
        said.append(_("not reachable over %(accounts)s") % {"accounts": _listed(no)})
    return " · ".join(said)


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(codes))


def _codes(facts: Facts) -> str:
    return " ".join(
        f"{key}={value}" for key, value in facts.items() if key not in ("reached", "until", "why", "chosen")
    )
