"""``python -m simulator``: start the outside world on 127.0.0.1 and say where it listens."""

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.aliyun import Aliyun
from simulator.control import Control
from simulator.exchange import Exchange
from simulator.jpush import JPush
from simulator.outside import Outside
from simulator.pages import PhonePages
from simulator.postoffice import PostOffice
from simulator.receipts import ReceiptSender
from simulator.smtp import Session

HOST = "127.0.0.1"
LARGEST_REQUEST = 16 * 1024 * 1024
LONGEST_LINE = 65536
SHUTDOWN_SECONDS = 1.0


def make_request(*parts: Any) -> web.BaseRequest:
    """Build a request that may be as large as the largest batch of a provider."""
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_REQUEST)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="The providers' side of UMS, on loopback.")
    parser.add_argument("--port", type=int, default=0, help="HTTP port, 0 for any free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="SMTP port, 0 for any free one")
    parser.add_argument("--state-dir", type=Path, required=True, help="where ledger.jsonl and mail.spool are kept")
    parser.add_argument(
        "--ready-file", type=Path, help="written (atomically) with the addresses once both ports listen"
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same fates")
    parser.add_argument("--world", choices=("believable", "perfect"), default="believable")
    return parser.parse_args()


def announce(path: Path | None, http_port: int, smtp_port: int) -> None:
    """Print where the simulator listens and write the same to the ready file in one step."""
    smtp = {"host": HOST, "port": smtp_port}
    text = json.dumps({"http": f"http://{HOST}:{http_port}", "smtp": smtp, "pid": os.getpid()})
    print(text, flush=True)
    if path is not None:
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT, then close everything in order."""
    outside = Outside(arguments.state_dir, arguments.seed, arguments.world)
    receipts = ReceiptSender(outside)
    office = PostOffice(outside, receipts)
    control = Control(outside, receipts, PhonePages(outside, office))
    exchange = Exchange(outside, Aliyun(outside, receipts.report), JPush(outside), control.handle)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = web.Server(
        exchange.handle,
        request_factory=make_request,
        access_log=None,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    http = await loop.create_server(server, HOST, arguments.port, backlog=1024)

    sessions: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(task := asyncio.ensure_future(Session(outside, office, reader, writer).run()))
        task.add_done_callback(sessions.discard)

    smtp = await asyncio.start_server(talk, HOST, arguments.smtp_port, backlog=1024)
    sender = asyncio.create_task(receipts.run())
    announce(arguments.ready_file, http.sockets[0].getsockname()[1], smtp.sockets[0].getsockname()[1])
    await stop.wait()
    http.close()
    smtp.close()
    for task in (sender, *sessions):
        task.cancel()
    await asyncio.gather(sender, *sessions, return_exceptions=True)
    await runner.cleanup()
    outside.ledger.close()
    office.close()


if __name__ == "__main__":
    asyncio.run(serve(parse_arguments()))
