"""``python -m simulator``: start the outside world on 127.0.0.1 and say where it listens."""

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.catalogue import PORTS, PROVIDERS
from simulator.control import Control
from simulator.exchange import Exchange
from simulator.outside import Outside
from simulator.pages import PhonePages
from simulator.posting import Poster
from simulator.provider import Party
from simulator.worldfile import read_world

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
    for kind in PORTS:
        names = (f"--port-{kind.name}", f"--{kind.name}-port")
        parser.add_argument(*names, type=int, default=0, dest=f"port_{kind.name}", help=f"port of {kind.name}")
    parser.add_argument("--state-dir", type=Path, required=True, help="where ledger.jsonl and mail.spool are kept")
    parser.add_argument(
        "--ready-file", type=Path, help="written (atomically) with the addresses once every port listens"
    )
    parser.add_argument("--seed", type=int, default=1, help="same seed, same fates")
    parser.add_argument("--world", default="believable", help="believable, perfect, or the path of a world file")
    return parser.parse_args()


def announce(path: Path | None, http_port: int, ports: dict[str, int]) -> None:
    """Print where the simulator listens and write the same to the ready file in one step."""
    places = {name: {"host": HOST, "port": number} for name, number in ports.items()}
    text = json.dumps({"http": f"http://{HOST}:{http_port}", **places, "pid": os.getpid()})
    print(text, flush=True)
    if path is not None:
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)


async def listen_http(exchange: Exchange, port: int) -> tuple[web.ServerRunner, asyncio.Server]:
    """Start the one HTTP port."""
    server = web.Server(
        exchange.handle,
        request_factory=make_request,
        access_log=None,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    return runner, await asyncio.get_running_loop().create_server(server, HOST, port, backlog=1024)


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT, then close everything in order."""
    file = read_world(arguments.world)
    outside = Outside(arguments.state_dir, (*PROVIDERS, *PORTS), arguments.seed, file.base)
    post = Poster(outside)
    providers = {kind.name: kind(outside, post) for kind in PROVIDERS}
    ports = {kind.name: kind(outside, post) for kind in PORTS}
    parties: dict[str, Party] = {**providers, **ports}
    control = Control(outside, post, parties, PhonePages(outside, parties), file)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner, http = await listen_http(Exchange(outside, providers, control.handle), arguments.port)
    listening = {name: await port.start(HOST, getattr(arguments, f"port_{name}")) for name, port in ports.items()}
    sender = asyncio.create_task(post.run())
    announce(arguments.ready_file, http.sockets[0].getsockname()[1], listening)
    await stop.wait()
    http.close()
    sender.cancel()
    await asyncio.gather(sender, *(port.stop() for port in ports.values()), return_exceptions=True)
    await runner.cleanup()
    outside.ledger.close()


if __name__ == "__main__":
    asyncio.run(serve(parse_arguments()))
