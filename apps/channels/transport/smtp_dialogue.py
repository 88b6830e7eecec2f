"""The client's side of one SMTP connection as a machine without a socket: bytes come in, bytes to write stand in `out`.

With PIPELINING (RFC 2920) a whole envelope goes out in one write, and the next one behind the final dot of the message
before it. What is certain about a message when the connection breaks rests on one number: how far the stream had been
handed to the kernel when its final dot was or was not part of that.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.channels.contract import MailAnswer, MailRequest, SmtpServer, TransportFault

MAX_REPLY = 65536  # bytes of unfinished reply that are kept before the peer is taken for something else
Outcome = MailAnswer | TransportFault


@dataclass(slots=True, eq=False)
class Mail:
    """One message on its way through a connection."""

    tag: object
    request: MailRequest = field(repr=False)
    start_by: float | None
    deadline: float = 0.0
    moved: bool = False  # given back once by a connection that ended before its final dot
    dot_at: int = 0  # position in the stream behind the final dot, 0 until the text is queued
    refusal: MailAnswer | None = None


class Broken(Exception):
    """The peer does not speak SMTP as expected, or cannot do what the account demands: (code, words)."""


class Dialogue:
    """pull   gives the next message to send or None
    finish    takes a message with its answer or fault
    give_back takes a message of which the server has done nothing, to be sent over another connection
    """

    def __init__(
        self,
        server: SmtpServer,
        pull: Callable[[], Mail | None],
        finish: Callable[[Mail, Outcome], None],
        give_back: Callable[[Mail], None],
        message_cap: int,
    ) -> None:
        self.server = server
        self.out = bytearray()
        self.queued = 0  # bytes ever put into `out`
        self.up = False  # was ready once
        self.ready = False
        self.over = False
        self.wants_tls = False
        self.secured = server.security == "tls"
        self.refused: Outcome | None = None  # why it never became ready
        self.open: dict[Mail, None] = {}  # messages begun and not finished, in order
        self._pull, self._finish, self._give_back = pull, finish, give_back
        self._left = message_cap
        self._served = 0
        self._rset = False
        self._pipelining = self._dsn = False
        self._buffer = b""
        self._first: bytes | None = None  # first line of a reply of several
        self._offers: dict[str, str] = {}
        self._hello_lines: list[bytes] = []
        self._awaited: deque[tuple[str, Mail | None]] = deque([("connect", None)])
        self._steps: dict[str, Callable[[int, bytes, Mail], None]] = {
            "mail": self._on_mail,
            "rcpt": self._on_rcpt,
            "data": self._on_data,
            "dot": self._on_dot,
            "void": self._on_void,
        }
        self._opening: dict[str, Callable[[int, bytes], None]] = {
            "connect": self._on_connect,
            "ehlo": self._on_ehlo,
            "helo": self._on_helo,
            "starttls": self._on_starttls,
            "auth_user": self._on_auth_user,
            "auth_password": self._on_auth_password,
            "auth": self._on_auth,
            "rset": self._on_rset,
            "quit": self._on_quit,
        }

    @property
    def idle(self) -> bool:
        """Ready, with nothing on it."""
        return self.ready and not self.over and not self.open and not self._awaited

    def feed(self, received: bytes) -> None:
        """Takes bytes from the server. Raises Broken."""
        lines = (self._buffer + received).split(b"\n")
        self._buffer = lines.pop()
        if len(self._buffer) > MAX_REPLY:
            raise Broken("bad_answer", "What came back is not SMTP.")
        for line in lines:
            if line[3:4] == b"-":
                if self._first is None:
                    self._first = line
                if len(self._hello_lines) < 100:
                    self._hello_lines.append(line)
            elif not self.over:
                self._reply(line)

    def _reply(self, last: bytes) -> None:
        digits = last[:3]
        if not digits.isdigit():
            raise Broken("bad_answer", "What came back is not SMTP.")
        code = int(digits)
        line, self._first = self._first or last, None
        if not self._awaited:
            self.over = True  # an idle server says goodbye (421)
            return
        stage, mail = self._awaited.popleft()
        if mail is None:
            self._hello_lines.append(last)
            self._opening[stage](code, line)
            self._hello_lines.clear()
            return
        if self._hello_lines:
            self._hello_lines.clear()
        if self._pipelining and 200 <= code < 300 and stage in ("mail", "rcpt"):
            return  # nothing depends on it: what follows is on its way already
        if code == 421:
            self._closing(stage, mail, line)
        else:
            self._steps[stage](code, line, mail)

    # opening

    def _on_connect(self, code: int, line: bytes) -> None:
        if code != 220:
            self._refuse("connect", code, line)
        else:
            self.greet()

    def greet(self) -> None:
        """Says EHLO: after the banner, and again inside TLS."""
        self._say(f"EHLO {self.server.hostname}\r\n", "ehlo")

    def _on_ehlo(self, code: int, line: bytes) -> None:
        if code != 250:
            self._say(f"HELO {self.server.hostname}\r\n", "helo")
            return
        for offer in self._hello_lines:
            name, _, rest = offer[4:].decode("ascii", "replace").strip().partition(" ")
            self._offers[name.upper()] = rest
        self._open_up()

    def _on_helo(self, code: int, line: bytes) -> None:
        if code != 250:
            self._refuse("connect", code, line)
        else:
            self._open_up()

    def _open_up(self) -> None:
        if self.server.security == "starttls" and not self.secured:
            if "STARTTLS" not in self._offers:
                raise Broken("starttls", "The server offers no STARTTLS.")
            self._say("STARTTLS\r\n", "starttls")
        elif self.server.username:
            self._login()
        else:
            self._be_ready()

    def _on_starttls(self, code: int, line: bytes) -> None:
        if code != 220:
            raise Broken("starttls", "The server refused STARTTLS.")
        if self._buffer:
            raise Broken("starttls", "Something was slipped in before TLS began.")
        self._offers.clear()  # what was offered in the clear may have been put there by anybody
        self.wants_tls = True

    def _login(self) -> None:
        methods = self._offers.get("AUTH", "").upper().split()
        user, password = self.server.username, self.server.password
        if "PLAIN" in methods:
            self._say(f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}\r\n", "auth")
        elif "LOGIN" in methods:
            self._say("AUTH LOGIN\r\n", "auth_user")
        else:
            raise Broken("auth_offer", "The server offers no login by PLAIN or LOGIN.")

    def _on_auth_user(self, code: int, line: bytes) -> None:
        if code != 334:
            self._refuse("auth", code, line)
        else:
            self._say(f"{_base64(self.server.username)}\r\n", "auth_password")

    def _on_auth_password(self, code: int, line: bytes) -> None:
        if code != 334:
            self._refuse("auth", code, line)
        else:
            self._say(f"{_base64(self.server.password)}\r\n", "auth")

    def _on_auth(self, code: int, line: bytes) -> None:
        if code != 235:
            self._refuse("auth", code, line)
        else:
            self._be_ready()

    def _be_ready(self) -> None:
        self.up = self.ready = True
        self._pipelining = "PIPELINING" in self._offers
        self._dsn = "DSN" in self._offers
        self.advance()

    def _refuse(self, stage: str, code: int, line: bytes) -> None:
        self.refused = _answer(stage, code, line)
        self.over = True

    # messages

    def advance(self) -> None:
        """Begins the next message if nothing is under way."""
        if not self.ready or self.over or self.open:
            return
        mail = self._take()
        if mail is not None:
            self._begin(mail)

    def _take(self) -> Mail | None:
        while self._left > 0:
            mail = self._pull()
            if mail is None:
                return None
            problem = self._cannot_carry(mail.request)
            if problem is None:
                self._left -= 1
                return mail
            self._finish(mail, problem)
        if not self.open and not self.over and not self._awaited:
            self.quit()
        return None

    def _cannot_carry(self, request: MailRequest) -> Outcome | None:
        if not (request.rcpt_to.isascii() and request.mail_from.isascii()) and "SMTPUTF8" not in self._offers:
            return MailAnswer("rcpt", 553, "5.6.7 SMTPUTF8 is not offered")
        if not request.data.isascii() and "8BITMIME" not in self._offers:
            return TransportFault(False, "8bitmime", "The server takes no 8-bit text.")
        return None

    def _begin(self, mail: Mail) -> None:
        request = mail.request
        options = f" {request.mail_options}" if self._dsn and request.mail_options else ""
        if not request.data.isascii():
            options += " BODY=8BITMIME"
        if not (request.rcpt_to.isascii() and request.mail_from.isascii()):
            options += " SMTPUTF8"
        self.open[mail] = None
        sender = f"MAIL FROM:<{request.mail_from}>{options}\r\n"
        if self._rset:
            self._rset = False
            self._say("RSET\r\n", "rset")
        if self._pipelining:
            self._put(f"{sender}{self._recipient(request)}DATA\r\n".encode())
            self._awaited.extend((("mail", mail), ("rcpt", mail), ("data", mail)))
        else:
            self._put(sender.encode())
            self._awaited.append(("mail", mail))

    def _recipient(self, request: MailRequest) -> str:
        options = f" {request.rcpt_options}" if self._dsn and request.rcpt_options else ""
        return f"RCPT TO:<{request.rcpt_to}>{options}\r\n"

    def _on_mail(self, code: int, line: bytes, mail: Mail) -> None:
        self._envelope_reply("mail", code, line, mail, "rcpt")

    def _on_rcpt(self, code: int, line: bytes, mail: Mail) -> None:
        self._envelope_reply("rcpt", code, line, mail, "data")

    def _envelope_reply(self, stage: str, code: int, line: bytes, mail: Mail, following: str) -> None:
        if not 200 <= code < 300 and mail.refusal is None:
            mail.refusal = _answer(stage, code, line)
        if self._pipelining:
            return
        if mail.refusal is not None:
            self._rset = True
            self._end(mail, mail.refusal)
        else:
            self._put(self._recipient(mail.request).encode() if following == "rcpt" else b"DATA\r\n")
            self._awaited.append((following, mail))

    def _on_data(self, code: int, line: bytes, mail: Mail) -> None:
        if code != 354:
            self._rset = True
            self._end(mail, mail.refusal or _answer("data", code, line))
        elif mail.refusal is not None:
            self._put(b".\r\n")  # no recipient stands, so there is nothing that this could send
            self._awaited.append(("void", mail))
        else:
            self._put(_dot_stuffed(mail.request.data))
            mail.dot_at = self.queued
            self._awaited.append(("dot", mail))
            following = self._take() if self._pipelining else None
            if following is not None:
                self._begin(following)

    def _on_dot(self, code: int, line: bytes, mail: Mail) -> None:
        self._end(mail, _answer("dot", code, line))

    def _on_void(self, code: int, line: bytes, mail: Mail) -> None:
        self._end(mail, mail.refusal or _answer("dot", code, line))

    def _on_rset(self, code: int, line: bytes) -> None:
        if code != 250:
            self.over = True

    def _end(self, mail: Mail, outcome: Outcome) -> None:
        del self.open[mail]
        self._served += 1
        self._finish(mail, outcome)
        self.advance()

    def _closing(self, stage: str, mail: Mail, line: bytes) -> None:
        """421: the server ends the connection, often just because it has had enough messages over it."""
        self.over = True
        del self.open[mail]
        if mail.refusal is not None:
            self._finish(mail, mail.refusal)
        elif self._served and not mail.moved and stage != "dot":
            self._give_back(mail)
        else:
            self._finish(mail, _answer(stage, 421, line))

    def lost(self, written: int, code: str, words: str) -> None:
        """The connection is gone with `written` bytes of the stream handed over: says for each open message what is
        certain. One whose final dot had not left is tried once more, over another connection."""
        self.over = True
        for mail in list(self.open)[::-1]:
            if mail.refusal is not None:
                self._finish(mail, mail.refusal)
            elif mail.dot_at and mail.dot_at <= written:
                self._finish(mail, TransportFault(True, code, words))
            elif self._served and not mail.moved:
                self._give_back(mail)
            else:
                self._finish(mail, TransportFault(False, code, words))
        self.open.clear()

    def quit(self) -> None:
        """Says goodbye; the connection is over when the server has answered."""
        if not self.over:
            self.ready = False
            self._say("QUIT\r\n", "quit")

    def _on_quit(self, code: int, line: bytes) -> None:
        self.over = True

    def _say(self, command: str, stage: str) -> None:
        self._put(command.encode())
        self._awaited.append((stage, None))

    def _put(self, piece: bytes) -> None:
        self.out += piece
        self.queued += len(piece)


def _answer(stage: str, code: int, line: bytes) -> MailAnswer:
    return MailAnswer(stage, code, line[4:].decode("utf-8", "replace").strip())


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _dot_stuffed(data: bytes) -> bytes:
    if b"\n." in data or data[:1] == b".":
        data = data.replace(b"\r\n.", b"\r\n..")
        if data[:1] == b".":
            data = b"." + data
    return data + b".\r\n" if data.endswith(b"\r\n") else data + b"\r\n.\r\n"
