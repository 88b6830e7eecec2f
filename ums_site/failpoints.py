"""Named places where a fault test makes this process die or freeze: `UMS_FAILPOINT=after_intent_commit:kill9@3`.

The action (kill9, stop, exit) happens at the N-th pass of this process. Unset, as in every installation, it costs one
comparison.
"""

from __future__ import annotations

import os
import signal

_NAME, _, _REST = os.environ.get("UMS_FAILPOINT", "").partition(":")
_ACTION, _, _COUNT = _REST.partition("@")
_SIGNALS = {"kill9": signal.SIGKILL, "stop": signal.SIGSTOP, "exit": signal.SIGTERM}
_passes = 0


def failpoint(name: str) -> None:
    """Marks a place; does nothing unless this very place was named in the environment."""
    global _passes
    if name != _NAME:
        return
    _passes += 1
    if _passes == int(_COUNT or 1):
        os.kill(os.getpid(), _SIGNALS[_ACTION])
