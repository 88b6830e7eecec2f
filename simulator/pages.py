"""What each person's phone and mailbox show."""

from typing import Any

from aiohttp import web

from simulator.outside import Outside
from simulator.postoffice import PostOffice


class PhonePages:
    def __init__(self, outside: Outside, office: PostOffice) -> None:
        self.outside, self.office = outside, office

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the (channel, address) pairs of a person."""
        places = [("app", rid) for rid in person.get("jpush", ())]
        places += [("sms", str(person["phone"]))] if person.get("phone") else []
        return places + ([("mail", person["email"])] if person.get("email") else [])

    def show(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="phones")
