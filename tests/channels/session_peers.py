"""Gateways on loopback that misbehave on purpose: SMPP and CMPP, each connection in a thread of its own."""

import socket
import threading
from collections.abc import Callable

from apps.channels.wire import cmpp, smpp
from tests.channels.peers import Peer, reset

Submit = Callable[["SessionPeer", int, bytes], int | str | None]


class SessionPeer(Peer):
    """Takes logins and submits. `submit(peer, number, body)` returns a status, or "silence", "reset" or "close".

    Ids of accepted requests are "1", "2", ... in the order of arrival.
    """

    def __init__(
        self,
        submit: Submit = lambda _peer, _number, _body: 0,
        bind_status: Callable[[int], int] = lambda _number: 0,
    ) -> None:
        self.submit, self.bind_status = submit, bind_status
        self.bodies: list[bytes] = []
        self.heard: list[tuple[int, int]] = []  # commands with status or sequence, in order
        self.logins: list[bytes] = []
        self.lock = threading.Lock()
        self.living: list[socket.socket] = []
        super().__init__()

    def talk(self, connection: socket.socket, number: int) -> None:
        buffer = bytearray()
        while True:
            received = connection.recv(65536)
            if not received:
                return
            buffer += received
            if not self.read(connection, number, buffer):
                return

    def read(self, connection: socket.socket, number: int, buffer: bytearray) -> bool:
        raise TypeError("say which protocol this peer speaks")

    def decide(self, connection: socket.socket, body: bytes) -> tuple[int, int | str | None]:
        with self.lock:
            self.bodies.append(body)
            number = len(self.bodies)
        said = self.submit(self, number, body)
        if said == "reset":
            reset(connection)
        return number, said

    def say(self, octets: bytes) -> None:
        """Speaks over the newest session."""
        self.living[-1].sendall(octets)


class SmppPeer(SessionPeer):
    """Speaks SMPP 3.4."""

    def read(self, connection: socket.socket, number: int, buffer: bytearray) -> bool:
        for pdu in smpp.split(buffer):
            self.heard.append((pdu.command, pdu.status))
            if pdu.command in (smpp.BIND_TRANSCEIVER, smpp.BIND_TRANSMITTER, smpp.BIND_RECEIVER):
                status = self.bind_status(number)
                self.logins.append(pdu.body)
                body = b"" if status else b"x\0"
                connection.sendall(smpp.Pdu(pdu.command | smpp.RESPONSE, status, pdu.sequence, body).encoded())
                if status:
                    return False
                self.living.append(connection)
            elif pdu.command == smpp.SUBMIT_SM:
                which, said = self.decide(connection, pdu.body)
                if said in ("reset", "close"):
                    return False
                if isinstance(said, int):
                    body = b"" if said else smpp.message_id_body(str(which))
                    connection.sendall(smpp.Pdu(smpp.SUBMIT_SM | smpp.RESPONSE, said, pdu.sequence, body).encoded())
            elif pdu.command in (smpp.ENQUIRE_LINK, smpp.UNBIND) and not self.closing.is_set():
                connection.sendall(smpp.Pdu(pdu.command | smpp.RESPONSE, 0, pdu.sequence).encoded())
        return True


class CmppPeer(SessionPeer):
    """Speaks CMPP; `wide` for 3.0."""

    def __init__(self, wide: bool, secret: str = "shared-secret", **options: object) -> None:
        self.wide, self.secret = wide, secret
        super().__init__(**options)  # type: ignore[arg-type]

    def read(self, connection: socket.socket, number: int, buffer: bytearray) -> bool:
        for packet in cmpp.split(buffer):
            self.heard.append((packet.command, packet.sequence))
            answer = packet.command | cmpp.RESPONSE
            if packet.command == cmpp.CONNECT:
                status = self.bind_status(number)
                self.logins.append(packet.body)
                proof = cmpp.gateway_proof(status, self.wide, packet.body[6:22], self.secret)
                body = status.to_bytes(4 if self.wide else 1, "big") + proof + packet.body[22:23]
                connection.sendall(cmpp.Packet(answer, packet.sequence, body).encoded())
                if status:
                    return False
                self.living.append(connection)
            elif packet.command == cmpp.SUBMIT:
                which, said = self.decide(connection, packet.body)
                if said in ("reset", "close"):
                    return False
                if isinstance(said, int):
                    body = cmpp.answer_body(which.to_bytes(8, "big"), said, self.wide)
                    connection.sendall(cmpp.Packet(answer, packet.sequence, body).encoded())
            elif packet.command in (cmpp.ACTIVE_TEST, cmpp.TERMINATE):
                body = b"\0" if packet.command == cmpp.ACTIVE_TEST else b""
                connection.sendall(cmpp.Packet(answer, packet.sequence, body).encoded())
        return True
