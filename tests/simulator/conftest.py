"""One honest simulator for the module, and a maker for others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.clients import Simulator


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Simulator]]:
    """Start simulators that are stopped after the module."""
    running: list[Simulator] = []

    def make(*arguments: str, folder: Path | None = None) -> Simulator:
        running.append(Simulator(folder or tmp_path_factory.mktemp("state"), *arguments))
        return running[-1]

    yield make
    for simulator in running:
        simulator.stop()


@pytest.fixture(scope="module")
def _shared(start: Callable[..., Simulator]) -> Simulator:
    return start("--world", "perfect", "--seed", "7")


@pytest.fixture
def simulator(_shared: Simulator) -> Simulator:
    """A simulator of the perfect world with every setting as at its start."""
    assert _shared.call("DELETE", "/_sim/ctl?settings=1").status == 200
    return _shared
