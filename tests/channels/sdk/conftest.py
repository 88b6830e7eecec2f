"""Providers' own clients against the simulated world."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.channels.sdk.environment import python_of
from tests.simulator.clients import Simulator


@pytest.fixture(scope="session")
def sdk_python() -> Callable[[str], Path]:
    """The python of an environment beside this file, made once."""
    return python_of


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    running = Simulator(tmp_path_factory.mktemp("state"), "--world", "perfect", "--seed", "7")
    yield running
    running.stop()


@pytest.fixture
def simulator(world: Simulator) -> Simulator:
    assert world.call("DELETE", "/_sim/ctl?settings=1").status == 200
    return world
