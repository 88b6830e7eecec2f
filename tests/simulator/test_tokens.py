"""Tokens as providers issue them."""

import pytest

from simulator.tokens import TokenDesk

NOW = 1_000_000.0


def test_a_token_lives_its_life() -> None:
    desk = TokenDesk(7200, 0, same_while_valid=True)
    token, left = desk.issue("app-1", NOW)
    assert left == 7200 and desk.check(token, NOW + 7199) == ("app-1", "")
    assert desk.check(token, NOW + 7200) == ("", "expired")
    assert desk.check("", NOW) == ("", "missing") and desk.check("guess", NOW) == ("", "unknown")


def test_asking_again_returns_the_valid_one_or_a_new_one() -> None:
    desk = TokenDesk(7200, 0, same_while_valid=True)
    first, _ = desk.issue("app-1", NOW)
    assert desk.issue("app-1", NOW + 7000) == (first, 200)
    second, left = desk.issue("app-1", NOW + 7001, force=True)
    assert second != first and left == 7200
    assert desk.issue("app-1", NOW + 20_000)[0] != second and desk.issue("app-2", NOW)[0] not in (first, second)


@pytest.mark.parametrize(("keeps", "after", "good"), [(300, 299, True), (300, 300, False), (0, 0, False)])
def test_the_old_one_stays_good_for_a_while(keeps: float, after: float, good: bool) -> None:
    desk = TokenDesk(7200, keeps, same_while_valid=False)
    old, _ = desk.issue("app-1", NOW)
    new, _ = desk.issue("app-1", NOW + 100)
    assert (desk.check(old, NOW + 100 + after) == ("app-1", "")) is good
    assert desk.check(new, NOW + 100 + after) == ("app-1", "")


def test_keeping_the_old_one_never_lengthens_its_life() -> None:
    desk = TokenDesk(7200, 300, same_while_valid=False)
    old, _ = desk.issue("app-1", NOW)
    desk.issue("app-1", NOW + 7100)
    assert desk.check(old, NOW + 7201) == ("", "expired")


def test_early_invalidation_ends_them_all_and_issues_are_counted() -> None:
    desk = TokenDesk(7200, 300, same_while_valid=True)
    token, _ = desk.issue("app-1", NOW)
    other, _ = desk.issue("app-2", NOW)
    desk.issue("app-1", NOW)
    assert desk.invalidate("app-1") == 1 and desk.invalidate("app-1") == 0
    assert desk.check(token, NOW + 1) == ("", "expired") and desk.check(other, NOW + 1) == ("app-2", "")
    assert desk.issue("app-1", NOW + 1)[0] != token
    assert desk.as_document() == {
        "asked": {"app-1": 3, "app-2": 1},
        "issued": {"app-1": 2, "app-2": 1},
        "invalidated": {"app-1": 2},
    }
