"""The client's side of one CMPP session (SP), 2.0 or 3.0, without a socket."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from apps.channels.contract import PartAnswer, SessionLink
from apps.channels.transport.session_talk import Broken, Talk
from apps.channels.wire import cmpp

BEIJING = timezone(timedelta(hours=8))
FLOW_CONTROL = 8
WRONG_GATEWAY = 0x100  # ours, outside the range of the protocol: the gateway does not know the secret


class CmppTalk(Talk):
    """One connection sends and receives; `role` is always "transceiver"."""

    def __init__(self, link: SessionLink, role: str) -> None:
        super().__init__(link, role, cmpp.LAST_SEQUENCE)
        self._wide = link.version == "3.0"
        self._proof = b""

    def greet(self, now: datetime) -> None:
        timestamp = int(f"{now.astimezone(BEIJING):%m%d%H%M%S}")
        link = self.link
        try:
            body = cmpp.connect_body(link.user, link.password, link.version, timestamp)
        except cmpp.BadPacket:
            raise Broken("bind", "The login does not fit its fields.") from None
        self._proof = cmpp.proof(link.user, link.password, timestamp)
        self._say(cmpp.CONNECT, body)

    def submit(self, body: bytes) -> int:
        return self._say(cmpp.SUBMIT, body)

    def probe(self) -> None:
        self._say(cmpp.ACTIVE_TEST)

    def acknowledge(self, request: bytes) -> None:
        packet = cmpp.decoded(request)
        self._answer(packet, cmpp.answer_body(packet.body[:8].ljust(8, b"\x00"), 0, self._wide))

    def leave(self) -> None:
        self._say(cmpp.TERMINATE)

    def throttles(self, answer: PartAnswer) -> bool:
        return answer.status == FLOW_CONTROL

    def feed(self, received: bytes) -> None:
        self._in += received
        try:
            while found := cmpp.split(self._in):
                for packet in found:
                    self._hear(packet)
        except cmpp.BadPacket:
            raise Broken("bad_answer", "What came back is not CMPP of this version.") from None

    def _hear(self, packet: cmpp.Packet) -> None:
        command = packet.command
        if command == cmpp.SUBMIT | cmpp.RESPONSE:
            message_id, result = cmpp.read_submit_answer(packet.body, self._wide)
            self.answers.append((packet.sequence, PartAnswer(result, "" if result else message_id)))
        elif command == cmpp.DELIVER and self.up:
            self.came.append(packet.encoded())
        elif command == cmpp.ACTIVE_TEST:
            self._answer(packet, b"\x00")
        elif command == cmpp.CONNECT | cmpp.RESPONSE:
            self._connected(packet.body)
        elif command in (cmpp.TERMINATE, cmpp.TERMINATE | cmpp.RESPONSE):
            if command == cmpp.TERMINATE:
                self._answer(packet)
            self.over = True

    def _connected(self, body: bytes) -> None:
        status, theirs = cmpp.read_connect_answer(body, self._wide)
        if not status and self.link.check_gateway:
            ours = cmpp.gateway_proof(status, self._wide, self._proof, self.link.password)
            status = 0 if theirs == ours else WRONG_GATEWAY
        if status:
            self.refused, self.over = PartAnswer(status), True
        else:
            self.up = True

    def _say(self, command: int, body: bytes = b"") -> int:
        sequence = self._next_sequence()
        self._put(cmpp.Packet(command, sequence, body).encoded())
        return sequence

    def _answer(self, packet: cmpp.Packet, body: bytes = b"") -> None:
        self._put(cmpp.Packet(packet.command | cmpp.RESPONSE, packet.sequence, body).encoded())
