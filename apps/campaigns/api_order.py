"""An order over the API: the template version and the policy that it names, and the answer to it.

Which version is the latest, and whether a policy changed, is asked every time, by ids only; what cannot change behind
an id (a published version, a policy as of its last change) is kept in this process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from apps.campaigns.accepting import Accepted, asked_of, decide, known
from apps.campaigns.api_bodies import Asked, BadBody
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Policy
from apps.partners.idempotency import Answer, Statement
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.templates.render import BUILT_IN
from apps.templates.selectors import compiled

LATEST = """
(SELECT v.id FROM templates_templateversion v JOIN templates_messagetemplate t ON t.id = v.template_id
 WHERE t.code = %s ORDER BY v.number DESC LIMIT 1),
(SELECT ARRAY[p.id::text, p.number::text, p.updated_at::text] FROM campaigns_policy p WHERE p.code = %s)
"""


def asked_ahead(business_line: BusinessLine, asked: Asked) -> Statement:
    """The columns, and their values, of a SELECT whose row `take_order` needs."""
    columns, values = asked_of(business_line, asked.items, asked.message_class)
    code = asked.policy if isinstance(asked.policy, str) else None
    return f"{LATEST}, {columns}", [asked.template, code, *values]


def take_order(
    business_line: BusinessLine, asked: Asked, row: Sequence[Any], *, single: bool, actor: object = None
) -> Answer:
    """The answer to what was asked, with what must be written for it. Raises BadBody; then nothing may be written."""
    version_id, changed, *rest = row
    version, policy = _named(asked, version_id, changed)
    _need_variables(version, asked, single)
    try:
        done = decide(
            business_line=business_line,
            template_version=version,
            policy=policy,
            message_class=asked.message_class,
            items=asked.items,
            known=known(rest),
            expires_at=asked.expires_at,
            name=asked.template,
            actor=actor,
        )
    except CampaignError as bad:
        raise BadBody({bad.field or "body": bad.message}) from bad
    return Answer(202, _told(done, asked.references, single), done.writes)


def _named(
    asked: Asked, version_id: int | None, changed: list[str] | None
) -> tuple[TemplateVersion, Policy | dict[str, Any]]:
    found: dict[str, str] = {}
    if version_id is None:
        found["template"] = _("No template with this code is published: publish it, or mend the code.")
    if isinstance(asked.policy, str) and changed is None:
        found["policy"] = _("There is no policy with this code: make it, or mend the code.")
    if found:
        raise BadBody(found)
    assert version_id is not None
    if isinstance(asked.policy, dict):
        return _version(version_id), asked.policy
    assert changed is not None
    return _version(version_id), _policy(*changed)


@lru_cache(maxsize=512)
def _version(version_id: int) -> TemplateVersion:
    return TemplateVersion.objects.select_related("template").get(pk=version_id)


@lru_cache(maxsize=512)
def _policy(policy_id: str, _number: str, _changed_at: str) -> Policy:
    return Policy.objects.get(pk=policy_id)


@dataclass(frozen=True, slots=True)
class Needed:
    """Names that every body of a version uses: `always` those that only the caller can know."""

    always: frozenset[str]
    without_person: frozenset[str]


@lru_cache(maxsize=512)
def _needed(version_id: int) -> Needed:
    version = _version(version_id)
    used = [frozenset(compiled(version_id, kind).names) for kind in version.bodies]
    everywhere = frozenset.intersection(*used) if used else frozenset()
    everywhere -= BUILT_IN.keys() - {held["name"] for held in version.variables}
    payload = {held["name"] for held in version.variables if held.get("source") == "payload"}
    return Needed(everywhere & payload - {"user_id"}, everywhere)


def _need_variables(version: TemplateVersion, asked: Asked, single: bool) -> None:
    """Refuses a value that is surely missing, by name. A person's attributes may still lack one: that shows when sending."""
    needed = _needed(version.pk)
    if not needed.without_person:
        return
    found: dict[str, str] = {}
    for number, item in enumerate(asked.items):
        names = needed.always if item.user_id else needed.without_person
        missing = [name for name in names if item.variables.get(name) in (None, "")]
        place = "variables" if single else f"messages[{number}].variables"
        for name in sorted(missing):
            found[f"{place}.{name}"] = _("The template needs a value for it.")
    if found:
        raise BadBody(found)


def _told(done: Accepted, references: Sequence[str], single: bool) -> str:
    told = [
        {"id": str(one), "state": "INVALID" if reason else "PLANNED", "reason": reason, "client_ref": reference or None}
        for one, reason, reference in zip(done.ids, done.reasons, references, strict=True)
    ]
    order = {"campaign_id": str(done.campaign.pk), "campaign_state": str(done.campaign.state)}
    if single:
        return json.dumps({**told[0], **order}, ensure_ascii=False)
    whole = {**order, "accepted": len(told), "messages": told}
    return json.dumps(whole, ensure_ascii=False)
