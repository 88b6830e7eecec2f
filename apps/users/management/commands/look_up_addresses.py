"""``manage.py look_up_addresses ACCOUNT``: give people the addresses that a provider knows under their mobile number."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.channels.models import ChannelAccount
from apps.users.errors import PeopleError
from apps.users.lookup import Found, look_up


class Command(BaseCommand):
    help = "Ask a provider for the addresses (userids) of people by their mobile number, and keep what it knows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="code of the channel account")
        parser.add_argument("--tag", default="", help="only people with this tag")
        parser.add_argument("--most", type=int, help="at most so many people")

    def handle(self, *args: Any, **options: Any) -> None:
        account = ChannelAccount.objects.filter(code=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account with the code {options['account']}.")
        try:
            found = look_up(
                actor="manage.py", account=account, tag=options["tag"], most=options["most"], tell=self._tell
            )
        except PeopleError as refused:
            raise CommandError(str(refused)) from refused
        if found.stopped:
            raise CommandError(f"The provider stopped it: {found.stopped} Run it again later: it goes on where it is.")

    def _tell(self, found: Found) -> None:
        self.stdout.write(
            f"asked {found.asked}, found {found.found}, not known {found.unknown}, without an answer {found.failed}"
        )
