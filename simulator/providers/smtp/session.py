"""A mail relay: ESMTP with pipelining, DSN and AUTH, one session object per connection."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from simulator.exchange import LINGER_NOT, LONGEST_HANG
from simulator.outside import Outside
from simulator.providers.smtp.grammar import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    GrammarError,
    good_address,
    read_base64,
    read_path,
    read_plain,
)
from simulator.providers.smtp.postoffice import Envelope, PostOffice
from simulator.scripts import Plan

NAME = "mx.ums.example"
LINE_LIMIT = 4096
READ_BYTES = 262_144
FINAL_DOT = b"\r\n.\r\n"

Verb = Callable[[str], Awaitable[None]]


class Hangup(Exception):
    """The session ends; ``rude`` means by reset."""

    def __init__(self, rude: bool = False) -> None:
        super().__init__()
        self.rude = rude


@dataclass(slots=True)
class Transaction:
    """A mail between MAIL and the final dot."""

    sender: str
    parameters: dict[str, str]
    recipients: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class Session:
    """One connection. Replies are gathered and leave when the client has nothing more in flight."""

    def __init__(
        self, outside: Outside, office: PostOffice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.outside, self.office, self.reader, self.writer = outside, office, reader, writer
        self._in, self._out = bytearray(), bytearray()
        self._user, self._greeted, self._messages = "", False, 0
        self._mail: Transaction | None = None
        self._verbs: dict[str, Verb] = {
            "EHLO": self._ehlo, "HELO": self._helo, "AUTH": self._auth, "MAIL": self._mail_from, "RCPT": self._rcpt_to,
            "DATA": self._data, "RSET": self._rset, "NOOP": self._noop, "VRFY": self._vrfy, "QUIT": self._quit,
        }  # fmt: skip

    async def run(self) -> None:
        """Talk until the client or a fault ends the connection."""
        try:
            await self._fault("connect", [])
            self._say(f"220 {NAME} ESMTP")
            while True:
                await self._command(await self._line())
        except Hangup as end:
            await self._close(end.rude)
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._close(False)

    async def _close(self, rude: bool) -> None:
        if rude:
            connection: socket.socket = self.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self.writer.transport.abort()
            return
        try:
            await self._flush()
            self.writer.close()
        except ConnectionError:
            self.writer.transport.abort()

    # --- bytes

    def _say(self, reply: str) -> None:
        self._out += reply.encode() + b"\r\n"

    async def _flush(self) -> None:
        if self._out:
            self.writer.write(bytes(self._out))
            self._out.clear()
            await self.writer.drain()

    async def _more(self) -> None:
        """Send what was gathered, then wait for the client."""
        await self._flush()
        block = await self.reader.read(READ_BYTES)
        if not block:
            raise Hangup
        self._in += block

    async def _line(self) -> str:
        while (end := self._in.find(b"\n")) < 0:
            if len(self._in) > LINE_LIMIT:
                self._say("500 5.5.2 Line too long")
                raise Hangup
            await self._more()
        line = bytes(self._in[:end]).rstrip(b"\r")
        del self._in[: end + 1]
        return line.decode(errors="replace")

    async def _body(self) -> bytes:
        """Read up to the final dot and undo dot stuffing."""
        if not self._in:
            await self._more()
        while len(self._in) < 3:
            await self._more()
        if self._in[:3] == b".\r\n":
            del self._in[:3]
            return b""
        start = 0
        while (end := self._in.find(FINAL_DOT, start)) < 0:
            start = max(len(self._in) - 4, 0)
            await self._more()
        body = bytes(self._in[: end + 2])
        del self._in[: end + len(FINAL_DOT)]
        body = body[1:] if body.startswith(b"..") else body
        return body.replace(b"\r\n..", b"\r\n.")

    # --- commands

    async def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        verb = self._verbs.get(word.upper())
        if verb is None:
            self._refuse("500 5.5.2 Error: command not recognized")
            return
        try:
            await verb(rest.strip())
        except GrammarError as error:
            self._refuse(str(error))

    def _refuse(self, reply: str) -> None:
        """Say no, and count it under its reply and enhanced code."""
        self.outside.counts["smtp"].refused[" ".join(reply.split()[:2])] += 1
        self._say(reply)

    async def _ehlo(self, rest: str) -> None:
        rule = self.outside.settings["smtp"]
        words = [NAME, f"SIZE {rule['size']}", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "AUTH PLAIN LOGIN"]
        words += ["PIPELINING"] if rule["pipelining"] else []
        words += ["SMTPUTF8"] if rule["smtputf8"] else []
        self._greeted, self._mail = True, None
        for word in words[:-1]:
            self._say(f"250-{word}")
        self._say(f"250 {words[-1]}")

    async def _helo(self, rest: str) -> None:
        self._greeted, self._mail = True, None
        self._say(f"250 {NAME}")

    async def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if self._user or self._mail:
            raise GrammarError("503 5.5.1 Error: already authenticated or in a transaction")
        if mechanism.upper() == "PLAIN":
            user, password = read_plain(initial or await self._ask(""))
        elif mechanism.upper() == "LOGIN":
            user = read_base64(initial or await self._ask("VXNlcm5hbWU6"))
            password = read_base64(await self._ask("UGFzc3dvcmQ6"))
        else:
            raise GrammarError("504 5.5.4 Unrecognized authentication type")
        if not user or self.office.users.get(user) != password:
            raise GrammarError("535 5.7.8 Error: authentication failed")
        self._user = user
        self._say("235 2.7.0 Authentication successful")

    async def _ask(self, challenge: str) -> str:
        self._say(f"334 {challenge}")
        answer = await self._line()
        if answer == "*":
            raise GrammarError("501 5.7.0 Authentication aborted")
        return answer

    async def _mail_from(self, rest: str) -> None:
        rule = self.outside.settings["smtp"]
        if not self._greeted or self._mail:
            raise GrammarError("503 5.5.1 Error: send EHLO first, one MAIL at a time")
        if rule["require_auth"] and not self._user:
            raise GrammarError("530 5.7.0 Authentication required")
        if self._messages >= rule["messages_per_connection"]:
            self._refuse("421 4.7.0 Too many messages on this connection")
            raise Hangup
        known = MAIL_PARAMETERS if rule["smtputf8"] else MAIL_PARAMETERS - {"SMTPUTF8"}
        sender, parameters = read_path("FROM", rest, known)
        if sender and not good_address(sender):
            raise GrammarError("501 5.1.7 Bad sender address syntax")
        self._check_parameters(parameters, rule["size"])
        await self._fault("mail", [sender])
        self._mail = Transaction(sender, parameters)
        self._say("250 2.1.0 Ok")

    def _check_parameters(self, parameters: dict[str, str], size: int) -> None:
        declared = parameters.get("SIZE", "0")
        if not declared.isdigit() or parameters.get("RET", "HDRS").upper() not in ("HDRS", "FULL"):
            raise GrammarError("501 5.5.4 Bad parameter value")
        if parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
            raise GrammarError("501 5.5.4 Bad parameter value")
        if int(declared) > size:
            raise GrammarError("552 5.3.4 Message size exceeds fixed limit")

    async def _rcpt_to(self, rest: str) -> None:
        rule = self.outside.settings["smtp"]
        if self._mail is None:
            raise GrammarError("503 5.5.1 Error: need MAIL command")
        address, parameters = read_path("TO", rest, RCPT_PARAMETERS)
        if not good_address(address):
            raise GrammarError("501 5.1.3 Bad recipient address syntax")
        if len(self._mail.recipients) >= rule["recipients_per_message"]:
            raise GrammarError("452 4.5.3 Error: too many recipients")
        await self._fault("rcpt", [address])
        if self.office.fate(address).word == "refused":
            raise GrammarError("550 5.1.1 no such mailbox here")
        if self.office.greylists(self._mail.sender, address, time.time()):
            raise GrammarError("451 4.7.1 greylisted, try again later")
        self._mail.recipients.append((address, parameters))
        self._say("250 2.1.5 Ok")

    async def _data(self, rest: str) -> None:
        if self._mail is None:
            raise GrammarError("503 5.5.1 Error: need MAIL command")
        if not self._mail.recipients:
            raise GrammarError("554 5.5.1 Error: no valid recipients")
        addresses = [address for address, _ in self._mail.recipients]
        await self._fault("data", addresses)
        self._say("354 End data with <CR><LF>.<CR><LF>")
        body, mail = await self._body(), self._mail
        self._mail = None
        self._messages += 1
        if len(body) > self.outside.settings["smtp"]["size"]:
            raise GrammarError("552 5.3.4 Message size exceeds fixed limit")
        self.outside.counts["smtp"].calls += 1
        plan = self.outside.plan("smtp", "send", addresses)
        reply = self._accept(mail, body, plan.returned) if plan.accepts else "451 4.3.0 Error: queue file write error"
        await self._carry_out(plan, reply)

    def _accept(self, mail: Transaction, body: bytes, returned: bool) -> str:
        """Take the mail: ledger first, then the queue id of the answer."""
        envelope = Envelope(self._user, mail.sender, mail.parameters, mail.recipients)
        return f"250 2.0.0 Ok: queued as {self.office.take(envelope, body, returned)}"

    # --- faults

    async def _fault(self, at: str, addresses: list[str]) -> None:
        """Let a script spoil this stage; stages before the final dot never accept."""
        plan = self.outside.scripts.choose("smtp", "send", addresses, at)
        if plan is None or plan.action is None:
            return
        self.outside.counts["smtp"].faults[plan.action] += 1
        if plan.action == "hang":
            await self._flush()
            await asyncio.sleep(min(float(plan.argument or LONGEST_HANG), LONGEST_HANG))
            return
        if plan.action in ("reset_before", "reset_after"):
            raise Hangup(rude=True)
        raise GrammarError(_bad_reply(plan, "451 4.3.0 Error: local problem"))

    async def _carry_out(self, plan: Plan, reply: str) -> None:
        """Give the reply to the final dot, or what the plan makes of it."""
        if plan.action is None:
            self._say(reply)
        elif plan.action in ("reset_before", "reset_after"):
            raise Hangup(rude=True)
        elif plan.action in ("hang", "drip"):
            await self._slowly(plan, reply)
        else:
            raise GrammarError(_bad_reply(plan, "451 4.3.0 Error: queue file write error"))

    async def _slowly(self, plan: Plan, reply: str) -> None:
        await self._flush()
        if plan.action == "hang":
            await asyncio.sleep(min(float(plan.argument or LONGEST_HANG), LONGEST_HANG))
            self._say(reply)
            return
        for byte in f"{reply}\r\n".encode():
            self.writer.write(bytes((byte,)))
            await self.writer.drain()
            await asyncio.sleep(float(plan.argument or 1.0))

    async def _rset(self, rest: str) -> None:
        self._mail = None
        self._say("250 2.0.0 Ok")

    async def _noop(self, rest: str) -> None:
        self._say("250 2.0.0 Ok")

    async def _vrfy(self, rest: str) -> None:
        self._say("252 2.0.0 Cannot VRFY user")

    async def _quit(self, rest: str) -> None:
        self._say("221 2.0.0 Bye")
        raise Hangup


def _bad_reply(plan: Plan, failure: str) -> str:
    """Return the line that stands for an action in SMTP."""
    replies = {
        "refuse": plan.argument or "550 5.7.1 Message refused by policy",
        "429": f"421 4.7.0 {NAME} unusual rate of mail, try again in {plan.argument or 60} s",
        "garbage": "\x16\x03 ?? <html>250",
        "bigbody": "\r\n".join(["250-" + "x" * 500] * 4000) + "\r\n250 2.0.0 Ok",
        "wrong_charset": "25O 成功：已排队",
    }
    return replies.get(plan.action or "", failure)
