"""`python -m bench [NAME ...] [--full]`: measures, prints a table, writes bench/results.json. ONLY=NAME does the same."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INSIDE = "UMS_BENCH_INSIDE"


def main() -> int:
    """Starts servers of the bench's own around itself, then runs the figures asked for."""
    os.chdir(ROOT)
    arguments = _arguments()
    if INSIDE not in os.environ:
        os.environ |= {INSIDE: "1", "UMS_VAR": str(ROOT / "var" / "bench"), "UMS_LOG_LEVEL": "ERROR"}
        os.environ.pop("DATABASE_URL", None)
        os.environ.pop("REDIS_URL", None)
        command = [sys.executable, "manage.py", "servers", "exec", "--", sys.executable, "-m", "bench", *sys.argv[1:]]
        os.execv(sys.executable, command)
    from bench.run import run  # only now: it needs to know where the servers are

    return run(arguments.names, arguments.full)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="figures to measure (default: all)")
    parser.add_argument("--full", action="store_true", help="at the sizes of the specification; takes an hour")
    arguments = parser.parse_args()
    arguments.names += [name for name in os.environ.get("ONLY", "").replace(",", " ").split() if name]
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
