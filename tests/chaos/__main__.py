"""`python -m tests.chaos`: every fault, provider profile and seed, one JSON line each; exit 0 only where all passed.

ONLY=F1,F8      these scenarios (F3 means all its points)
PROFILES=NONE   these profiles
SEEDS=3         seeds 1 to 3
N=2000          people in a campaign
JOBS=4          cases at once
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

from tests.chaos import ground

os.environ["UMS_VAR"] = os.environ.get("CHAOS_VAR") or str(ground.ROOT / "var" / "chaos")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")
os.environ |= {**ground.TIMERS, "UMS_LOG": "console", "UMS_LOG_LEVEL": "WARNING"}
for name in ("DATABASE_URL", "REDIS_URL", "UMS_FAILPOINT"):
    if len(sys.argv) < 2:
        os.environ.pop(name, None)
django.setup()

from redis import Redis  # noqa: E402  (the environment above decides what is imported)

from tests.chaos.checker import check  # noqa: E402
from tests.chaos.expected import Expected  # noqa: E402
from tests.chaos.field import Field  # noqa: E402
from tests.chaos.profiles import PROFILES  # noqa: E402
from tests.chaos.scenarios import SCENARIOS  # noqa: E402

TEMPLATE = "chaos_people"
LONGEST_CASE = 240


def main() -> int:
    """Everything that is asked for, several cases at once on servers of their own."""
    only = [word for word in os.environ.get("ONLY", "").split(",") if word]
    profiles = os.environ.get("PROFILES", "").split(",") if os.environ.get("PROFILES") else None
    seeds = range(1, int(os.environ.get("SEEDS", "1")) + 1)
    n = int(os.environ.get("N", "2000"))
    cases = [
        (name, profile, seed, int(n * scenario.share))
        for name, scenario in SCENARIOS.items()
        if not only or name in only or name.partition(".")[0] in only
        for profile in scenario.profiles
        if profiles is None or profile in profiles
        for seed in seeds
    ]
    if not cases:
        print(f"No such scenario; there are {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    ground.start_servers()
    try:
        for size in sorted({case[3] for case in cases}):
            ground.make_template(f"{TEMPLATE}_{size}", size)
        together = [case for case in cases if not SCENARIOS[case[0]].alone]
        with ThreadPoolExecutor(int(os.environ.get("JOBS", "4"))) as pool:
            passed = list(pool.map(lambda numbered: run_apart(*numbered), enumerate(together, start=1)))
        passed += [run_apart(0, case) for case in cases if SCENARIOS[case[0]].alone]
    finally:
        ground.stop_servers()
    print(f"{sum(passed)} of {len(passed)} passed", file=sys.stderr)
    return 0 if all(passed) else 1


def run_apart(number: int, case: tuple[str, str, int, int]) -> bool:
    """One case in a process of its own, on its own database and Redis number."""
    name, profile, seed, n = case
    database = f"chaos_case_{number}"
    ground.copy_database(f"{TEMPLATE}_{n}", database)
    place = {
        **os.environ,
        "DATABASE_URL": ground.database_url(database),
        "REDIS_URL": ground.redis_url(1 + number % 60),
    }
    command = [sys.executable, "-m", "tests.chaos", name, profile, str(seed), str(n), database]
    began = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ground.ROOT, env=place, capture_output=True, text=True, timeout=LONGEST_CASE)
        line, code, words = done.stdout.strip(), done.returncode, done.stderr
    except subprocess.TimeoutExpired as late:
        line, code, words = "", 1, f"no end after {late.timeout} s"
    if not line:
        line = json.dumps({"id": name, "profile": profile, "seed": seed, "n": n, "pass": False,
                           "seconds": round(time.monotonic() - began, 1), "note": words[-600:]})  # fmt: skip
    print(line, flush=True)
    if code == 0 and not os.environ.get("KEEP"):
        ground.drop_database(database)
    return code == 0


def run_case(name: str, profile: str, seed: int, n: int, database: str) -> int:
    """The case itself; prints its line."""
    with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        redis.flushdb()
    scenario, began, broken = SCENARIOS[name], time.monotonic(), ""
    state = Path(os.environ["UMS_VAR"]) / "outside" / f"{database}-{int(time.time())}"
    offered = PROFILES[profile]
    with Field(offered, seed, n, state) as field:
        expected = Expected(0)
        try:
            expected = scenario.run(field)
        except AssertionError as error:
            broken = str(error)
        found = check(field.campaign.pk, field.ledger, n, scenario.refusals, offered.provider, offered.our_keys)
    problems = [*([broken] if broken else []), *expected.problems, *found.problems]
    if not broken and found.unknown > expected.bound:
        problems.append(f"{found.unknown} unknown, at most {expected.bound} may be")
    if not broken and expected.exact is not None and found.unknown != expected.exact:
        problems.append(f"{found.unknown} unknown, {expected.exact} are expected")
    print(
        json.dumps(
            {
                "id": name,
                "profile": profile,
                "seed": seed,
                "n": n,
                "accepted": found.accepted,
                "lost": found.lost,
                "duplicates": found.duplicates,
                "unknown": found.unknown,
                "unknown_bound": expected.bound,
                "pass": not problems,
                "seconds": round(time.monotonic() - began, 1),
                "note": "; ".join([expected.note, *problems] if expected.note else problems),
            },
            ensure_ascii=False,
        )  # fmt: skip
    )
    return 0 if not problems else 1


if __name__ == "__main__":
    if len(sys.argv) == 6:
        case, which, number, size, place = sys.argv[1:]
        sys.exit(run_case(case, which, int(number), int(size), place))
    sys.exit(main())
