"""The simulated world that all tests of this folder send into."""

from collections.abc import Iterator

import pytest

from apps.channels.transport.http import HttpClient
from tests.channels.peers import HttpPeer, http_answer
from tests.simulator.clients import Simulator


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("state"), "--world", "perfect", "--seed", "7")
    yield running
    running.stop()


@pytest.fixture
def simulator(world: Simulator) -> Simulator:
    assert world.call("DELETE", "/_sim/ctl?settings=1").status == 200
    return world


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Iterator[HttpPeer]:
    """Answers as `hook_answer` of the module says, a pair of content type and body."""
    kind, body = getattr(request.module, "HOOK_ANSWER", ("application/json", b"{}"))
    peer = HttpPeer(lambda *_: http_answer(body, "200 OK", f"Content-Type: {kind}"))
    yield peer
    peer.close()


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(max_in_flight=20, timeout_s=1.0)
    yield client
    client.close()
