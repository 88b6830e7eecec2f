"""The mail relay as a provider: its switches, users, mailboxes and the port it listens on."""

import asyncio
from typing import Any

from simulator.outside import Arrival, Outside
from simulator.posting import Poster
from simulator.provider import Port, Shown
from simulator.providers.smtp.postoffice import PostOffice
from simulator.providers.smtp.reading import read_mail
from simulator.providers.smtp.session import Session
from simulator.world import Fate

USER, PASSWORD = "ums", "ums-secret"
FOLDED = {"zh": ("邮件头", "纯文本"), "en": ("Headers", "Plain text")}


class Smtp(Port):
    """A mail server that takes mail for every address."""

    name = "smtp"
    channels = {"mail": "mail"}
    settings = {
        "pipelining": True,
        "smtputf8": True,
        "require_auth": True,
        "messages_per_connection": 100,
        "recipients_per_message": 100,
        "size": 10_485_760,
        "greylist_seconds": 0.0,
        "bad_recipients": [],
    }
    habits = {"bounce": 0.0, "refused": 0.0}
    believable = {"world": {"bounce": 0.02, "refused": 0.005}}
    operations = ("send",)
    stages = ("connect", "mail", "rcpt", "data", "dot")

    def __init__(self, outside: Outside, post: Poster) -> None:
        super().__init__(outside, post)
        self.office = PostOffice(self, {USER: PASSWORD})

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak ESMTP with one client."""
        await Session(self.outside, self.office, reader, writer).run()

    async def stop(self) -> None:
        """End the sessions, then close the spool."""
        await super().stop()
        self.office.close()

    def control(self, document: dict[str, Any]) -> None:
        """Take users with their passwords, and the switches."""
        self.office.users.update(document.pop("users", {}))
        super().control(document)

    def fate(self, channel: str, address: str, pid: str, now: float) -> Fate:
        """Mailboxes are refused at RCPT or bounce later; ``bad_recipients`` are always refused."""
        rates = self.outside.world.rates(self.name)
        shares = {"refused": rates["refused"], "bounced": rates["bounce"]}
        fate = self.outside.world.fate(channel, address, pid, now, shares)
        return Fate("refused", fate.at) if address in self.switches["bad_recipients"] else fate

    def places(self, person: dict[str, Any]) -> list[tuple[str, str]]:
        """One mailbox."""
        return [("mail", str(person["email"]))] if person.get("email") else []

    def show(self, arrival: Arrival, language: str) -> Shown:
        """Show subject, sender and both bodies; headers folded away."""
        mail, (headers, plain) = read_mail(self.office.read(arrival.content)), FOLDED[language]
        folded = [(headers, "\n".join(f"{name}: {value}" for name, value in mail.headers))]
        if mail.html and mail.text:
            return Shown(mail.subject, "", mail.sender, html=mail.html, folded=[(plain, mail.text), *folded])
        return Shown(mail.subject, mail.text, mail.sender, html=mail.html, folded=folded)
