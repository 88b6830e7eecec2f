"""How many calls an account has made today and in this minute, path by path; the day begins at midnight in Beijing."""

import time
from collections import Counter

from simulator.clock import beijing_day
from simulator.providers.wechat.rules import WeChatError

BEIJING_S = 8 * 3600
CLEARS_A_MONTH = 10


class Quota:
    """Counters that start anew by themselves, or by the account's own call, ten times a month."""

    def __init__(self) -> None:
        self._days: Counter[tuple[str, str, int]] = Counter()
        self._minutes: Counter[tuple[str, str, int]] = Counter()
        self._clears: Counter[tuple[str, str]] = Counter()

    def count(self, appid: str, path: str, now: float, daily: int, per_minute: int) -> None:
        """Count a call; WeChatError where the day's or the minute's are used up."""
        day, minute = (appid, path, beijing_day(now)), (appid, path, int(now) // 60)
        if self._days[day] >= daily:
            raise WeChatError("45009")
        if self._minutes[minute] >= per_minute:
            raise WeChatError("45011")
        self._days[day] += 1
        self._minutes[minute] += 1

    def clear(self, appid: str, now: float) -> None:
        """Start the account's counters anew; WeChatError from the eleventh time in a month."""
        month = (appid, time.strftime("%Y%m", time.gmtime(now + BEIJING_S)))
        if self._clears[month] >= CLEARS_A_MONTH:
            raise WeChatError("48006")
        self._clears[month] += 1
        for counter in (self._days, self._minutes):
            for counted in [one for one in counter if one[0] == appid]:
                del counter[counted]
