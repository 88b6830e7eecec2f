"""What the two halves of the conformance suite share: every kind of the registry, one after the other."""

import pytest

from apps.channels.contract import Adapter
from tests.channels.golden_files import Kind, kinds

GARBAGE = [b"", b"{", b"null", b"[]", b'"OK"', b"<html>502 Bad Gateway</html>", b"\xff\xfe\x00", b"[" * 60000, b"{}"]


@pytest.fixture(params=kinds(), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def overridden(kind: Kind, *names: str) -> set[bool]:
    return {getattr(type(kind.adapter), name) is not getattr(Adapter, name) for name in names}
