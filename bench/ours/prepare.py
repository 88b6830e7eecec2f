"""`python -m bench.ours.prepare WHAT ...`: fills a template database through the product's own doors; not measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection

import bench.ours  # noqa: F401  (sets Django up)
from apps.campaigns.pipeline.expand import expand_next
from apps.campaigns.services import create_campaign, submit_campaign
from apps.channels.models import ChannelAccount
from apps.channels.services import save_account
from apps.partners.authentication import new_api_key
from apps.partners.models import BusinessLine
from apps.templates.models import TemplateVersion
from apps.templates.services import publish_version, save_draft
from apps.users.attributes import ensure_default_attributes
from apps.users.importing import job
from apps.users.importing.orders import start_import
from bench.child import when_told
from bench.people import HTML, SUBJECT, TEXT, write_csv
from ums_site import partitions
from ums_site.clock import database_now

ACTOR = "bench"
IN_FLIGHT = 200
SMS_TEXT = "尊敬的${name}，您在${city}的账户余额为${balance}。"
EQUAL_TEXT = "尊敬的客户，您的本月账单已生成，请登录手机银行查看。"
TEMPLATES = {"sms": "bench", "mail": "bench", "many": "equal"}  # account -> template
VARIABLES = [
    {"name": "name", "type": "text", "source": "attribute", "example": "张三"},
    {"name": "city", "type": "text", "source": "attribute", "example": "上海"},
    {"name": "balance", "type": "money", "currency": "CNY", "source": "attribute", "example": "12.50"},
]


def world(http_port: str, smtp_port: str) -> None:
    """Schema, a business line, two SMS accounts and a mail account at the sink, two published templates."""
    call_command("migrate", verbosity=0)
    partitions.ensure(database_now().date())
    ensure_default_attributes()
    line = BusinessLine.objects.create(code="bench", name="Bench")
    _accounts(int(http_port), int(smtp_port))
    _template("bench", VARIABLES, {"sms_aliyun": _sms(), "email_smtp": _mail()})
    _template("equal", [], {"sms_aliyun": {**_SIGNED, "text": EQUAL_TEXT}})
    key_file = Path(os.environ["UMS_VAR"]) / "bench-api-key"
    key_file.write_text(new_api_key(business_line=line, label="bench")[1], encoding="ascii")


_SIGNED = {"sign_name": "示例银行", "template_code": "SMS_100000001"}


def _template(code: str, variables: list[dict[str, str]], bodies: dict[str, Any]) -> None:
    draft = save_draft(actor=ACTOR, code=code, name="Bench", variables=variables, bodies=bodies)
    publish_version(actor=ACTOR, template=draft)


def _sms() -> dict[str, object]:
    params = {name: f"${{{name}}}" for name in ("name", "city", "balance")}
    return {**_SIGNED, "params": params, "text": SMS_TEXT}


def _mail() -> dict[str, str]:
    values = {"name": "${name}", "city": "${city}", "money": "${balance}"}
    return {"subject": SUBJECT.format(**values), "text": TEXT.format(**values), "html": HTML.format(**values)}


def _accounts(http_port: int, smtp_port: int) -> None:
    sms = {
        "access_key_id": "benchkeyid",
        "access_key_secret": "benchkeysecret",
        "base_url": f"http://127.0.0.1:{http_port}",
    }
    mail = {"host": "127.0.0.1", "port": smtp_port, "security": "none", "from_address": "bank@example.com"}
    many = {**sms, "recipients_per_call": 1000}
    for code, kind, settings in (
        ("sms", "sms_aliyun", sms),
        ("many", "sms_aliyun", many),
        ("mail", "email_smtp", mail),
    ):
        account = ChannelAccount(code=code, name=code, kind=kind, max_in_flight=IN_FLIGHT)
        save_account(actor=ACTOR, account=account, settings=settings)


def people(count: str) -> None:
    """The first `count` people of bench.people, through the importer."""
    path = write_csv(Path(os.environ["UMS_VAR"]) / "people.csv", int(count))
    with path.open("rb") as file:
        order = start_import(actor=ACTOR, file=file, file_name=path.name, at_once=True)
    done = job.run(order.pk)
    path.unlink()
    if done.recipients_added != int(count):
        raise SystemExit(f"The import took {done.recipients_added} of {count} people: {done.error}")


def campaign(account: str) -> None:
    """A submitted bulk campaign to everybody over one account, not expanded yet."""
    held = ChannelAccount.objects.get(code=account)
    step = {"channels": [{"account": held.code}], "mode": "first", "until": "accepted"}
    made = create_campaign(
        actor=ACTOR,
        name="Bench",
        business_line=BusinessLine.objects.get(code="bench"),
        message_class="marketing",
        template_version=TemplateVersion.objects.get(template__code=TEMPLATES[account]),
        policy={"steps": [step]},
        audience={"kind": "filter"},
    )
    submit_campaign(actor=ACTOR, campaign=made)


def expanded(account: str) -> None:
    """As `campaign`, with all messages and deliveries planned."""
    campaign(account)
    while expand_next("bulk"):
        pass


def accepted(account: str) -> None:
    """As `expanded`, with every delivery accepted an instant ago: what receipts find."""
    expanded(account)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_delivery SET state = 'ACCEPTED', attempts = 1, burnt = 1, accepted_at = now(), "
            "first_intent_at = now(), pieces = 1, provider_id = id::text"
        )
        cursor.execute("UPDATE campaigns_batch SET state = 'DONE', follow_up_at = now() + interval '3 days'")


STEPS = {step.__name__: step for step in (world, people, campaign, expanded, accepted)}

if __name__ == "__main__":
    when_told(lambda: STEPS[sys.argv[1]](*sys.argv[2:]))
