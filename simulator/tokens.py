"""Access tokens as providers issue them: how long they live, whether an old one stays good, how often they were asked for."""

import secrets
from collections import Counter
from typing import Any


class TokenDesk:
    """Issues tokens for accounts and checks them. Times are epoch seconds, given by the caller.

    ``life_s``: how long a token is good. ``keeps_old_s``: how long the previous token stays good after a new one
    was issued. ``same_while_valid``: asking again returns the valid token instead of a new one.
    """

    def __init__(self, life_s: float, keeps_old_s: float, same_while_valid: bool) -> None:
        self.life_s, self.keeps_old_s, self.same_while_valid = life_s, keeps_old_s, same_while_valid
        self.asked: Counter[str] = Counter()
        self.issued: Counter[str] = Counter()
        self.invalidated: Counter[str] = Counter()
        self._current: dict[str, str] = {}
        self._owners: dict[str, tuple[str, float]] = {}

    def issue(self, account: str, now: float, force: bool = False) -> tuple[str, float]:
        """Return (token, seconds it has left); ``force`` makes a new one although the old one is good."""
        self.asked[account] += 1
        current = self._current.get(account, "")
        until = self._owners.get(current, ("", 0.0))[1]
        if current and self.same_while_valid and not force and now < until:
            return current, until - now
        if current and now < until:
            self._owners[current] = (account, min(until, now + self.keeps_old_s))
        return self._new(account, now), self.life_s

    def _new(self, account: str, now: float) -> str:
        token = secrets.token_urlsafe(48)
        self.issued[account] += 1
        self._current[account] = token
        self._owners[token] = (account, now + self.life_s)
        return token

    def check(self, token: str, now: float) -> tuple[str, str]:
        """Return (account, "") for a good token, else ("", "missing" | "unknown" | "expired")."""
        if not token:
            return "", "missing"
        if token not in self._owners:
            return "", "unknown"
        account, until = self._owners[token]
        return (account, "") if now < until else ("", "expired")

    def invalidate(self, account: str) -> int:
        """End every token of the account at once, before its time; return how many there were that could be good."""
        ended = [token for token, (owner, until) in self._owners.items() if owner == account and until > 0.0]
        for token in ended:
            self._owners[token] = (account, 0.0)
        self._current.pop(account, None)
        self.invalidated[account] += 1
        return len(ended)

    def as_document(self) -> dict[str, Any]:
        """Return the counters per account: many issues in a short time are a stampede."""
        return {"asked": dict(self.asked), "issued": dict(self.issued), "invalidated": dict(self.invalidated)}
