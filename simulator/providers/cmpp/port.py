"""The gateway as a provider: its logins, its switches and the port it listens on."""

import asyncio

from simulator.outside import Outside
from simulator.posting import Poster
from simulator.providers.carrier.port import SWITCHES, Carrier
from simulator.providers.cmpp.session import CmppSession


class Cmpp(Carrier):
    """Takes one part for up to a hundred numbers per SUBMIT, tells status reports as DELIVER."""

    name = "cmpp"
    settings = SWITCHES | {"window": 16, "narrow_reports": False}
    default_refusal = "13"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.accounts = {"sp0001": "shared-secret"}

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak CMPP with one client."""
        await CmppSession(self, reader, writer).run()
