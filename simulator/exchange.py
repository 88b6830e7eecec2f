"""The HTTP front: hands each request to its provider and lets things go wrong where a script says so."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from simulator.outside import Answer, Call, Outside, Submission
from simulator.provider import JSON_TYPE, Provider
from simulator.scripts import Plan

LONGEST_HANG = 3600.0
BIG_BODY = 2_000_000
LINGER_NOT = struct.pack("ii", 1, 0)

Control = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Exchange:
    """One raw HTTP handler for all providers and the simulator's own ``/_sim`` pages."""

    def __init__(self, outside: Outside, providers: Mapping[str, Provider], control: Control) -> None:
        self.outside, self.providers, self.control = outside, providers, control

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        target, _, query = request.raw_path.partition("?")
        if target == "/_sim" or target.startswith("/_sim/"):
            return await self.control(request)
        body = await request.read() if request.body_exists else b""
        provider, call = self._addressee(Call(request.method, target, query, request.headers, body, time.time()))
        if provider is None:
            return web.Response(status=404, text="no provider has this address")
        counts = self.outside.counts[provider.name]
        counts.calls += 1
        result = provider.read(call)
        if isinstance(result, Submission):
            return await self._perform(provider, result, call, request)
        return self._respond(provider, result, call)

    def _addressee(self, call: Call) -> tuple[Provider | None, Call]:
        """Return who gets the call: ``/~name/rest`` is ``/rest`` of that provider, else the first that wants it."""
        if call.path.startswith("/~"):
            name, _, rest = call.path[2:].partition("/")
            return self.providers.get(name), call._replace(path=f"/{rest}")
        return next((provider for provider in self.providers.values() if provider.wants(call)), None), call

    def _respond(self, provider: Provider, answer: Answer, call: Call) -> web.Response:
        """Return the answer as it is, with the headers that every answer of the provider carries."""
        if answer.code:
            self.outside.counts[provider.name].refused[answer.code] += 1
        headers = {"Content-Type": provider.content_type} | provider.headers(call)
        headers.update(answer.headers)
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _perform(
        self, provider: Provider, submission: Submission, call: Call, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Accept (or not) and answer (or not), as planned for this call."""
        plan = self.outside.plan(provider.name, submission.operation, submission.addresses)
        answer = submission.accept(plan.returned) if plan.accepts else self._no(provider, plan)
        if plan.action in (None, "refuse", "token_error", "429"):
            return self._respond(provider, answer, call)
        if plan.action == "500":
            return self._respond(provider, provider.internal_error(), call)
        if plan.action in ("reset_before", "reset_after"):
            return _reset(request)
        if plan.action == "hang":
            await asyncio.sleep(min(float(plan.argument or LONGEST_HANG), LONGEST_HANG))
            return self._respond(provider, answer, call)
        if plan.action == "drip":
            return await _drip(request, answer, provider.content_type, float(plan.argument or 1.0))
        return _spoil(plan.action or "", answer)

    def _no(self, provider: Provider, plan: Plan) -> Answer:
        """Return the answer of a call that is not accepted."""
        if plan.action == "refuse":
            return provider.refusal(plan.argument or provider.default_refusal)
        if plan.action == "token_error":
            return provider.refusal(plan.argument or provider.token_error)
        return provider.throttled(plan.argument) if plan.action == "429" else provider.internal_error()


def _reset(request: web.BaseRequest) -> web.Response:
    """Cut the connection so that the peer sees a reset, not an end."""
    transport = request.transport
    if transport is not None:
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        transport.abort()
    return web.Response(status=500)


async def _drip(request: web.BaseRequest, answer: Answer, kind: str, seconds: float) -> web.StreamResponse:
    """Send the true body one byte at a time."""
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": kind, **answer.headers})
    response.content_length = len(answer.body)
    await response.prepare(request)
    for position in range(len(answer.body)):
        await response.write(answer.body[position : position + 1])
        await asyncio.sleep(seconds)
    return response


def _spoil(action: str, answer: Answer) -> web.Response:
    """Return an answer that cannot be understood, under a status that looks well."""
    if action == "bigbody":
        text = json.dumps({"Message": "x" * BIG_BODY}).encode()
        return web.Response(body=text, headers={"Content-Type": JSON_TYPE})
    if action == "wrong_charset":
        text = answer.body.decode().replace("OK", "成功").encode("utf-16-le")
        return web.Response(body=text, headers={"Content-Type": JSON_TYPE})
    return web.Response(body=b"<html><body>502 Bad Gateway</bo", headers={"Content-Type": "text/html"})
