"""An order over the API: the template version and the policy that it names, and the answer to it.

Which version is the latest, and whether a policy changed, is asked every time, by ids only; what cannot change behind
an id (a published version, a policy as of its last change) is kept in this process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from apps.campaigns.api_bodies import Asked, BadBody
from apps.campaigns.errors import CampaignError
from apps.campaigns.models import Campaign, Policy
from apps.campaigns.services import accept_messages
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.templates.selectors import compiled

LATEST = """
SELECT (SELECT v.id FROM templates_templateversion v JOIN templates_messagetemplate t ON t.id = v.template_id
        WHERE t.code = %s ORDER BY v.number DESC LIMIT 1),
       p.id, p.updated_at
FROM (SELECT 1) AS one LEFT JOIN campaigns_policy p ON p.code = %s
"""
STATES = "SELECT id, state, reason FROM campaigns_message WHERE id = ANY(%s::bigint[]) AND id BETWEEN %s AND %s"


def take_order(*, actor: object, business_line: BusinessLine, asked: Asked, single: bool) -> tuple[int, str]:
    """Accepts what was asked and returns status and JSON body of the answer. Raises BadBody; then nothing is written."""
    version, policy = _named(asked)
    _need_variables(version, asked, single)
    try:
        campaign, ids = accept_messages(
            actor=actor,
            business_line=business_line,
            template_version=version,
            policy=policy,
            message_class=asked.message_class,
            items=asked.items,
            expires_at=asked.expires_at,
            name=asked.template,
        )
    except CampaignError as bad:
        raise BadBody({bad.field or "body": bad.message}) from bad
    return 202, _answer(campaign, ids, asked.references, single)


def _named(asked: Asked) -> tuple[TemplateVersion, Policy | dict[str, Any]]:
    code = asked.policy if isinstance(asked.policy, str) else ""
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [asked.template, code])
        version_id, policy_id, changed_at = cursor.fetchone()
    found: dict[str, str] = {}
    if version_id is None:
        found["template"] = _("No template with this code is published: publish it, or mend the code.")
    if code and policy_id is None:
        found["policy"] = _("There is no policy with this code: make it, or mend the code.")
    if found:
        raise BadBody(found)
    policy = asked.policy if isinstance(asked.policy, dict) else _policy(policy_id, changed_at)
    return _version(version_id), policy


@lru_cache(maxsize=512)
def _version(version_id: int) -> TemplateVersion:
    return TemplateVersion.objects.select_related("template").get(pk=version_id)


@lru_cache(maxsize=512)
def _policy(policy_id: int, _changed_at: datetime) -> Policy:
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


def _answer(campaign: Campaign, ids: Sequence[int], references: Sequence[str], single: bool) -> str:
    with connection.cursor() as cursor:
        cursor.execute(STATES, [list(ids), min(ids), max(ids)])
        states = {row[0]: row[1:] for row in cursor.fetchall()}
    told = [
        {"id": str(one), "state": states[one][0], "reason": states[one][1], "client_ref": reference or None}
        for one, reference in zip(ids, references, strict=True)
    ]
    if single:
        return json.dumps({**told[0], "campaign_id": str(campaign.pk)}, ensure_ascii=False)
    whole = {"campaign_id": str(campaign.pk), "accepted": len(told), "messages": told}
    return json.dumps(whole, ensure_ascii=False)
