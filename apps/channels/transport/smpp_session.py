"""The client's side of one SMPP 3.4 session (ESME), without a socket."""

from __future__ import annotations

from datetime import datetime

from apps.channels.contract import PartAnswer, SessionLink
from apps.channels.transport.session_talk import Broken, Talk
from apps.channels.wire import smpp

THROTTLED = 0x58
WRONG_STATE, UNKNOWN_COMMAND = 0x04, 0x03
BINDS = {
    "transceiver": smpp.BIND_TRANSCEIVER,
    "transmitter": smpp.BIND_TRANSMITTER,
    "receiver": smpp.BIND_RECEIVER,
}
_BIND_ANSWERS = frozenset(command | smpp.RESPONSE for command in BINDS.values())
_NOTHING_TO_SAY = frozenset({smpp.ENQUIRE_LINK | smpp.RESPONSE, smpp.ALERT_NOTIFICATION, smpp.OUTBIND})


class SmppTalk(Talk):
    """`role` is "transceiver", "transmitter" or "receiver"."""

    def __init__(self, link: SessionLink, role: str) -> None:
        super().__init__(link, role, smpp.LAST_SEQUENCE)

    def greet(self, now: datetime) -> None:
        try:
            body = smpp.bind_body(self.link.user, self.link.password, self.link.system_type)
        except smpp.BadPdu:
            raise Broken("bind", "The login does not fit its fields.") from None
        self._say(BINDS[self.role], body)

    def submit(self, body: bytes) -> int:
        return self._say(smpp.SUBMIT_SM, body)

    def probe(self) -> None:
        self._say(smpp.ENQUIRE_LINK)

    def acknowledge(self, request: bytes) -> None:
        pdu = smpp.decoded(request)
        self._answer(pdu, 0, smpp.message_id_body(""))

    def leave(self) -> None:
        self._say(smpp.UNBIND)

    def throttles(self, answer: PartAnswer) -> bool:
        return answer.status == THROTTLED

    def feed(self, received: bytes) -> None:
        self._in += received
        try:
            while found := smpp.split(self._in):
                for pdu in found:
                    self._hear(pdu)
        except smpp.BadPdu:
            raise Broken("bad_answer", "What came back is not SMPP.") from None

    def _hear(self, pdu: smpp.Pdu) -> None:
        command = pdu.command
        if command == smpp.SUBMIT_SM | smpp.RESPONSE:
            self.answers.append((pdu.sequence, PartAnswer(pdu.status, smpp.read_message_id(pdu.body))))
        elif command in (smpp.DELIVER_SM, smpp.DATA_SM):
            if self.up:
                self.came.append(pdu.encoded())
            else:
                self._answer(pdu, WRONG_STATE)
        elif command == smpp.ENQUIRE_LINK:
            self._answer(pdu, 0)
        elif command in _BIND_ANSWERS:
            self._bound(pdu.status)
        elif command == smpp.GENERIC_NACK:
            self._nacked(pdu)
        elif command in (smpp.UNBIND, smpp.UNBIND | smpp.RESPONSE):
            if command == smpp.UNBIND:
                self._answer(pdu, 0)
            self.over = True
        elif not command & smpp.RESPONSE and command not in _NOTHING_TO_SAY:
            self._put(smpp.Pdu(smpp.GENERIC_NACK, UNKNOWN_COMMAND, pdu.sequence).encoded())

    def _bound(self, status: int) -> None:
        if status:
            self.refused, self.over = PartAnswer(status), True
        else:
            self.up = True

    def _nacked(self, pdu: smpp.Pdu) -> None:
        if self.up:
            self.answers.append((pdu.sequence, PartAnswer(pdu.status)))
        else:
            self._bound(pdu.status or UNKNOWN_COMMAND)

    def _say(self, command: int, body: bytes = b"") -> int:
        sequence = self._next_sequence()
        self._put(smpp.Pdu(command, 0, sequence, body).encoded())
        return sequence

    def _answer(self, pdu: smpp.Pdu, status: int, body: bytes = b"") -> None:
        self._put(smpp.Pdu(pdu.command | smpp.RESPONSE, status, pdu.sequence, body).encoded())
