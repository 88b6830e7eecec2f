"""How much Feishu takes: of an app in a second and a minute, for a person in a second, of a robot likewise."""

from collections import deque


class Windows:
    """Sliding windows by key."""

    def __init__(self) -> None:
        self._recent: dict[object, deque[float]] = {}

    def over(self, key: object, now: float, *limits: tuple[int, float]) -> float:
        """Count a call; return the seconds to wait where one of the (count, seconds) limits is used up, else 0."""
        recent = self._recent.setdefault(key, deque())
        longest = max(seconds for _, seconds in limits)
        while recent and now - recent[0] >= longest:
            recent.popleft()
        for count, seconds in limits:
            inside = [at for at in recent if now - at < seconds]
            if len(inside) >= count:
                return seconds - (now - inside[0])
        recent.append(now)
        return 0.0
