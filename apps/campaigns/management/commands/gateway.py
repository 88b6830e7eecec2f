"""`manage.py gateway ACCOUNT`: keeps the sessions of one account and sends for it until it is stopped."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.campaigns.pipeline.gateway import Gateway
from apps.campaigns.tasks import spare_the_collector
from apps.channels.models import ChannelAccount
from apps.channels.registry import session_kinds


class Command(BaseCommand):
    help = "Keeps the session of one account (SMPP, CMPP), sends its batches and takes in its receipts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="code of the account")

    def handle(self, *args: Any, **options: Any) -> None:
        account = ChannelAccount.objects.filter(code=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}.")
        if account.kind not in session_kinds():
            raise CommandError(f"{account.code} keeps no session: workers send for it.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_given: stop.set())
        spare_the_collector()
        Gateway(account.pk).run(stop)
