"""The service centre as a provider: its logins, its switches and the port it listens on."""

import asyncio

from simulator.outside import Outside
from simulator.posting import Poster
from simulator.providers.carrier.port import SWITCHES, Carrier
from simulator.providers.smpp.session import SmppSession


class Smpp(Carrier):
    """Takes one part per submit_sm, tells receipts as deliver_sm."""

    name = "smpp"
    settings = SWITCHES | {"response_id": "hex", "receipt_id": "decimal", "receipt_parameters": True}
    default_refusal = "0x45"

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.accounts = {"esme1": "secret08"}

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak SMPP with one client."""
        await SmppSession(self, reader, writer).run()
