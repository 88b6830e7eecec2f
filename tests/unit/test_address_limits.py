"""Limits per address as accounts write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.channels.address_limits import ADDRESS_LIMITS_FIELD, AddressLimit, limits_in


def test_limits_are_read_by_class() -> None:
    assert limits_in("none") == () and limits_in(" 5/1h ") == (AddressLimit(5, timedelta(hours=1)),)
    assert limits_in("otp 1/30s 10/1d; marketing 2/7d") == (
        AddressLimit(1, timedelta(seconds=30), "otp"),
        AddressLimit(10, timedelta(days=1), "otp"),
        AddressLimit(2, timedelta(days=7), "marketing"),
    )


@pytest.mark.parametrize("text", ["5", "0/1d", "sms 1/1m", "1/1w", "1/1m,2/1h", "otp"])
def test_what_is_no_limit_is_told_at_the_field(text: str) -> None:
    assert ADDRESS_LIMITS_FIELD.problem(text)
    with pytest.raises(ValueError, match="no limits"):
        limits_in(text)
