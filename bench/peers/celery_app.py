"""Celery as its documentation shows it: a task per message, the ORM, requests; set for speed."""

from __future__ import annotations

import os

import django
import requests
from celery import Celery

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.peers.settings"  # the harness has the one of UMS in its environment
django.setup()

from django.conf import settings  # noqa: E402  (Django first)
from django.db.models.functions import Now  # noqa: E402

from bench.peers.calls import send_sms  # noqa: E402
from bench.peers.models import Message  # noqa: E402

app = Celery("bench", broker=settings.REDIS_URL.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host="))
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=64,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="bench",
)
session = requests.Session()
session.trust_env = False


@app.task(name="send")
def send(message_id: int) -> None:
    """Reads the message, sends it, writes what came of it."""
    message = Message.objects.select_related("person").get(pk=message_id)
    person = message.person
    params = {"name": person.name, "city": person.city, "balance": f"¥{person.balance:,.2f}"}
    url, headers = send_sms(settings.SINK_HTTP, f"{message.pk:012x}", person.phone, params)
    answer = session.post(url, headers=headers, timeout=10)
    said = answer.json()
    message.state = "ACCEPTED" if answer.status_code == 200 and said["Code"] == "OK" else "FAILED"
    message.provider_id = said["BizId"]
    message.sent_at = Now()
    message.save(update_fields=["state", "provider_id", "sent_at"])
