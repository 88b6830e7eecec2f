"""One HTTP/2 connection: streams in, requests to the provider, answers out within the peer's flow control."""

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from simulator.providers.apns.rules import Request

Headers = list[tuple[str, str]]


class Connection(asyncio.Protocol):
    """Calls ``ask(connection, stream, request)`` for each whole request; answers come by ``answer`` or ``reset``."""

    def __init__(
        self,
        ask: Callable[["Connection", int, Request], None],
        ended: Callable[["Connection"], None],
        streams: int,
    ) -> None:
        self._ask, self._ended, self._streams = ask, ended, streams
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._open: dict[int, tuple[Headers, bytearray]] = {}
        self._unsent: dict[int, bytes] = {}
        self._transport: asyncio.Transport | None = None
        self.leaving = False

    # --- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet with our settings."""
        self._transport = cast(asyncio.Transport, transport)
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._streams})
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Read frames; what breaks the protocol ends the connection."""
        try:
            events: Iterable[Event] = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self.cut()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None
        self._ended(self)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)

    # --- streams

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived) and not self.leaving:  # after GOAWAY the client takes it elsewhere
            self._open[event.stream_id] = ([(str(name), str(value)) for name, value in event.headers], bytearray())
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self._open:
                self._open[event.stream_id][1].extend(event.data)
        elif isinstance(event, StreamEnded):
            if event.stream_id in self._open:
                headers, body = self._open[event.stream_id]
                self._ask(self, event.stream_id, Request(headers, bytes(body)))
        elif isinstance(event, StreamReset):
            self._close(event.stream_id)
        elif isinstance(event, WindowUpdated):
            for stream in list(self._unsent):
                self._send_more(stream)
        elif isinstance(event, ConnectionTerminated) and self._transport is not None:
            self._flush()
            self._transport.close()

    def _close(self, stream: int) -> None:
        self._open.pop(stream, None)
        self._unsent.pop(stream, None)
        if self.leaving and not self._open and self._transport is not None:
            self._flush()
            self._transport.close()

    def is_open(self, stream: int) -> bool:
        """Tell whether somebody still waits for this answer."""
        usable = self._h2.state_machine.state is not ConnectionState.CLOSED
        return self._transport is not None and usable and stream in self._open

    def answer(self, stream: int, headers: Headers, body: bytes = b"", ends: bool = True) -> None:
        """Send an answer; one without a body ends the stream in its HEADERS frame. ``ends`` false: more will follow."""
        if not self.is_open(stream):
            return
        self._h2.send_headers(stream, headers, end_stream=ends and not body)
        if body and ends:
            self._unsent[stream] = body
            self._send_more(stream)
        elif ends:
            self._close(stream)
        self._flush()

    def drip(self, stream: int, data: bytes, ends: bool) -> None:
        """Send a little of a body that was begun."""
        if self.is_open(stream):
            self._h2.send_data(stream, data, end_stream=ends)
            if ends:
                self._close(stream)
            self._flush()

    def _send_more(self, stream: int) -> None:
        """Send as much of a body as the peer's windows allow; the rest follows their updates."""
        while body := self._unsent.get(stream, b""):
            most = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if most <= 0:
                return
            self._h2.send_data(stream, body[:most], end_stream=len(body) <= most)
            self._unsent[stream] = body[most:]
        self._close(stream)

    def reset(self, stream: int) -> None:
        """End one stream with RST_STREAM, the others live on."""
        if self.is_open(stream):
            self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            self._close(stream)
            self._flush()

    # --- the end

    def leave(self) -> None:
        """Say GOAWAY after the newest stream; answer what is open, then close."""
        if self._transport is not None and not self.leaving:
            self.leaving = True
            self._goaway()
            if not self._open:
                self._transport.close()

    def _goaway(self) -> None:
        """Write the frame by hand: h2 would close its side at once and could not answer open streams any more."""
        last = self._h2.highest_inbound_stream_id
        if self._transport is not None:
            self._flush()
            frame = last.to_bytes(4, "big") + int(ErrorCodes.NO_ERROR).to_bytes(4, "big")
            self._transport.write(len(frame).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + frame)

    def cut(self) -> None:
        """Close the connection at once, whatever is open."""
        if self._transport is not None:
            self._transport.abort()
