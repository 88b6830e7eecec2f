import pytest

from tests.reports.rows import World


@pytest.fixture
def world(db: None) -> World:
    """A line, three accounts and a template."""
    return World().build()
