"""Small servers on loopback that misbehave on purpose, each in threads of its own."""

import datetime
import ipaddress
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SMTP_OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN")


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Returns when the condition holds; fails at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        threading.Event().wait(0.005)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def reset(connection: socket.socket) -> None:
    """Ends a connection so that the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1 as file, and the server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return cert_file, context


class Peer:
    """Accepts connections until closed; `talk` runs for each in a thread."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self.listener.getsockname()[1])
        self.connections: list[socket.socket] = []
        self.accepted = self.ended = 0
        self.faults: list[BaseException] = []
        self.closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._guard, args=(connection, self.accepted), daemon=True).start()

    def _guard(self, connection: socket.socket, number: int) -> None:
        try:
            self.talk(connection, number)
        except OSError:
            pass  # the other side went away, or the test is over
        except BaseException as fault:
            self.faults.append(fault)
        finally:
            connection.close()
            self.ended += 1

    def talk(self, connection: socket.socket, number: int) -> None:
        raise TypeError("say what this peer does")

    def close(self) -> None:
        """Ends everything; raises what went wrong inside."""
        self.closing.set()
        self.listener.close()
        for connection in self.connections:
            connection.close()
        if self.faults:
            raise self.faults[0]


class HttpPeer(Peer):
    """Reads whole requests and hands each to `answer(connection, head, body, number of the request)`.

    `answer` returns the raw bytes to send, or None after it has done something else; then the connection ends.
    """

    def __init__(
        self,
        answer: Callable[[socket.socket, bytes, bytes, int], bytes | None],
        tls: ssl.SSLContext | None = None,
        before: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self.answer, self.tls, self.before = answer, tls, before
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        super().__init__()

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def talk(self, connection: socket.socket, number: int) -> None:
        if self.before:
            self.before(connection)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True)
            self.connections.append(connection)
        with connection, connection.makefile("rb") as stream:
            self.serve(connection, stream)

    def serve(self, connection: socket.socket, stream: BinaryIO) -> None:
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = stream.readline()
                if not line:
                    return
                head += line
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = stream.read(int(length[1])) if length else b""
            self.heads.append(head)
            self.bodies.append(body)
            reply = self.answer(connection, head, body, len(self.heads))
            if reply is None:
                return
            connection.sendall(reply)


def http_answer(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> bytes:
    """One complete answer that keeps the connection."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class SmtpPeer(Peer):
    """A strict server; `replies(stage, argument, number of the message)` may give another reply, or do a deed.

    Stages: connect, ehlo, auth, mail, rcpt, data, dot, idle. A reply of "close", "reset" or "hang" is the deed.
    """

    def __init__(
        self,
        replies: Callable[[str, str, int], str | None] = lambda stage, argument, number: None,
        offers: tuple[str, ...] = SMTP_OFFERS,
        tls: ssl.SSLContext | None = None,
        tls_at_once: bool = False,
        login: str = "",
    ) -> None:
        self.replies, self.offers, self.tls, self.tls_at_once, self.login = replies, offers, tls, tls_at_once, login
        self.mails: list[tuple[str, str, bytes]] = []
        self.commands: list[str] = []
        self.quits = 0
        self.number = 0
        self.most_at_once = 0
        self._now = 0
        super().__init__()

    def talk(self, connection: socket.socket, number: int) -> None:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            _SmtpSession(self, connection).run()
        finally:
            self._now -= 1


class _Over(Exception):
    pass


class _SmtpSession:
    def __init__(self, peer: SmtpPeer, connection: socket.socket) -> None:
        self.peer, self.connection = peer, connection
        self.sender = self.recipient = ""
        self.secure = False
        self.offers = peer.offers

    def run(self) -> None:
        try:
            if self.peer.tls_at_once:
                self.secured()
            self.stream = self.connection.makefile("rb")
            self.reply("connect", "", "220 peer ESMTP")
            while True:
                line = self.stream.readline()
                if not line:
                    return
                assert line.endswith(b"\r\n"), line
                text = line[:-2].decode()
                self.peer.commands.append(text)
                verb = text.split(" ")[0].upper()
                self.pipelined_only_if_offered(verb)
                getattr(self, f"on_{verb.lower()}")(text)
        except _Over:
            return

    def pipelined_only_if_offered(self, verb: str) -> None:
        if "PIPELINING" in self.offers or verb == "QUIT" or self.secure:
            return
        self.connection.setblocking(False)
        try:
            more = self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            more = b""
        finally:
            self.connection.setblocking(True)
        assert not more, "a command was sent before the reply to the one before it"

    def secured(self) -> None:
        assert self.peer.tls is not None
        self.connection = self.peer.tls.wrap_socket(self.connection, server_side=True)
        self.peer.connections.append(self.connection)
        self.secure = True

    def reply(self, stage: str, argument: str, usual: str) -> bool:
        """Sends the scripted or the usual reply; True where it is the usual kind."""
        scripted = self.peer.replies(stage, argument, self.peer.number)
        if scripted == "close":
            raise _Over
        if scripted == "reset":
            reset(self.connection)
            raise _Over
        if scripted == "hang":
            self.peer.closing.wait(20)
            raise _Over
        said = scripted or usual
        self.connection.sendall(f"{said}\r\n".encode())
        if said.startswith("421"):
            raise _Over
        return said[0] == usual[0]

    def on_ehlo(self, text: str) -> None:
        offers = list(self.offers)
        if self.peer.tls and not self.secure:
            offers.append("STARTTLS")
        if self.peer.login and (self.secure or not self.peer.tls):
            offers.append(f"AUTH {self.peer.login}")
        lines = ["peer", *offers]
        usual = "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])
        if self.reply("ehlo", text, usual):
            self.sender = self.recipient = ""

    def on_helo(self, text: str) -> None:
        self.reply("helo", text, "250 peer")

    def on_starttls(self, text: str) -> None:
        self.connection.sendall(b"220 go\r\n")
        self.secured()
        self.stream = self.connection.makefile("rb")

    def on_auth(self, text: str) -> None:
        if text == "AUTH LOGIN":
            for _ in range(2):
                self.connection.sendall(b"334 VXNlcm5hbWU6\r\n")
                self.peer.commands.append(self.stream.readline().decode().strip())
        self.reply("auth", text, "235 2.7.0 welcome")

    def on_mail(self, text: str) -> None:
        if self.sender:
            self.connection.sendall(b"503 5.5.1 nested MAIL\r\n")
            return
        self.peer.number += 1
        found = re.fullmatch(r"MAIL FROM:<(.*?)>(.*)", text)
        assert found, text
        if self.reply("mail", text, "250 2.1.0 ok"):
            self.sender = found[1]

    def on_rcpt(self, text: str) -> None:
        found = re.fullmatch(r"RCPT TO:<(.*?)>(.*)", text)
        assert found, text
        if not self.sender:
            self.connection.sendall(b"503 5.5.1 MAIL first\r\n")
        elif self.reply("rcpt", found[1], "250 2.1.5 ok"):
            self.recipient = found[1]

    def on_data(self, text: str) -> None:
        if not self.recipient:
            if self.peer.replies("data_anyway", text, self.peer.number):
                self.connection.sendall(b"354 go\r\n")
                assert self.stream.readline() == b".\r\n", "a text was sent although nobody may receive it"
                self.connection.sendall(b"554 5.5.1 no valid recipients\r\n")
                self.sender = ""
                return
            self.connection.sendall(b"554 5.5.1 no valid recipients\r\n")
            return
        if not self.reply("data", text, "354 go"):
            return
        lines = []
        while (line := self.stream.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line[1:] if line.startswith(b".") else line)
        mail = (self.sender, self.recipient, b"".join(lines))
        self.peer.mails.append(mail)
        self.sender = self.recipient = ""
        self.reply("dot", mail[1], f"250 2.0.0 queued as {len(self.peer.mails)}")

    def on_rset(self, text: str) -> None:
        self.sender = self.recipient = ""
        self.connection.sendall(b"250 2.0.0 ok\r\n")

    def on_quit(self, text: str) -> None:
        self.peer.quits += 1
        self.connection.sendall(b"221 bye\r\n")
        raise _Over
