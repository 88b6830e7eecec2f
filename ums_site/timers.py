"""The timers that keep a delivery from being sent twice. Pure.

Their relation is the whole point: a worker that lost its lease must have stopped calling before another one may start.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Timers:
    """All in seconds.

    `t_http` hard wall-clock cap of one provider call, DNS and TLS included; `start_by` a call starts at most this
    long after its intent; `commit` allowance for writing an intent; `lease_margin` life a lease must still have at
    intent; `grace` the reaper waits this long after a lease's end; `lease` length of a lease; `slice` one job drains
    its lane for this long; `job_timeout` RQ ends a job; `stop_timeout` a supervisor kills a worker asked to stop.
    """

    t_http: float = 10.0
    start_by: float = 5.0
    commit: float = 5.0
    lease_margin: float = 30.0
    grace: float = 15.0
    lease: float = 60.0
    slice: float = 30.0
    job_timeout: float = 90.0
    stop_timeout: float = 100.0

    def violations(self) -> list[str]:
        """The relations that do not hold, in words; empty means that it is safe to send."""
        relations = [
            (
                self.start_by + self.t_http + self.commit <= self.lease_margin,
                "start_by + t_http + commit <= lease_margin",
            ),
            (self.lease_margin < self.lease, "lease_margin < lease"),
            (
                self.slice + self.t_http + self.lease_margin <= self.job_timeout,
                "slice + t_http + lease_margin <= job_timeout",
            ),
            (self.job_timeout < self.stop_timeout, "job_timeout < stop_timeout"),
            (self.grace >= self.t_http, "grace >= t_http"),
        ]
        return [text for holds, text in relations if not holds]


TIMER_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Timers))
