"""The timers that keep a message from going out twice."""

import pytest

from ums_site.timers import Timers


def test_the_defaults_hold() -> None:
    assert Timers().violations() == []


@pytest.mark.parametrize(
    "broken",
    [
        Timers(t_http=21),
        Timers(start_by=16),
        Timers(lease=30),
        Timers(slice=51),
        Timers(stop_timeout=90),
        Timers(grace=9),
    ],
)
def test_each_relation_is_watched(broken: Timers) -> None:
    assert broken.violations()
