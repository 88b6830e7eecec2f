"""How fast a session link may go: an agreed rate, and less of it after the gateway said that it was too much.

Additive increase, multiplicative decrease: a refusal for speed pauses the link for a second and lets it go on at 70 % of
what the gateway had taken in the last second; each good second after that gives a twentieth back. Pure: `now` in seconds.
"""

from __future__ import annotations

PAUSE_S = 1.0
KEPT_SHARE = 0.7
STEP = 0.05
SLOWEST = 1.0
BURST_S = 0.1  # a rate may be used that much in advance


class Pace:
    """`ceiling` requests a second at most, 0 for no limit of ours; `rate` is what is allowed now, 0 for anything."""

    def __init__(self, ceiling: float = 0.0) -> None:
        self.ceiling = self.rate = ceiling
        self._tokens, self._filled_at = max(1.0, ceiling * BURST_S), 0.0
        self._paused_until = self._raised_at = 0.0
        self._step = 0.0
        self._second, self._taken, self._taken_before = 0, 0, 0

    def take(self, now: float) -> bool:
        """Whether one request may go out now; it counts as gone."""
        if now < self._paused_until:
            return False
        if not self.rate:
            return True
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def next_in(self, now: float) -> float:
        """Seconds until `take` may be worth asking again."""
        if now < self._paused_until:
            return self._paused_until - now
        if not self.rate:
            return 0.0
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self.rate)

    def went_well(self, now: float) -> None:
        """The gateway took one."""
        self._turn(now)
        self._taken += 1
        if self._step and now - self._raised_at >= 1.0:
            self._raised_at = now
            self.rate += self._step
            if self.ceiling and self.rate >= self.ceiling:
                self.rate, self._step = self.ceiling, 0.0

    def too_fast(self, now: float) -> None:
        """The gateway refused one for speed; what else was under way at that moment tells nothing new."""
        if now < self._paused_until:
            return
        self._turn(now)
        taken = max(self._taken, self._taken_before, 1)
        self.rate = max(SLOWEST, KEPT_SHARE * (min(taken, self.rate) if self.rate else taken))
        self._step = max(SLOWEST, STEP * (self.ceiling or taken))
        self._paused_until = self._raised_at = self._filled_at = now + PAUSE_S
        self._tokens = 1.0

    def _fill(self, now: float) -> None:
        most = max(1.0, self.rate * BURST_S)
        self._tokens = min(most, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now

    def _turn(self, now: float) -> None:
        if int(now) != self._second:
            self._taken_before = self._taken if int(now) == self._second + 1 else 0
            self._second, self._taken = int(now), 0
