"""`python -m tests.rehearsal`: one great campaign over four steps with every rule on, its workers killed twice, and its account.

PEOPLE=200000   how many people
KILLS=2         how often everything that sends is killed with SIGKILL
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from tests.chaos import ground

os.environ["UMS_VAR"] = os.environ.get("REHEARSAL_VAR") or str(ground.ROOT / "var" / "rehearsal")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ums_site.settings")
os.environ |= {"UMS_LOG": "console", "UMS_LOG_LEVEL": "WARNING", "UMS_EGRESS_ALLOW": "127.0.0.0/8"}
os.environ["DATABASE_URL"] = ground.database_url("rehearsal")

import django

django.setup()

from tests.rehearsal import account, story  # noqa: E402
from tests.rehearsal.installation import Installation, fresh_database  # noqa: E402


def main() -> int:
    people, kills = int(os.environ.get("PEOPLE", "200000")), int(os.environ.get("KILLS", "2"))
    state = Path(os.environ["UMS_VAR"]) / f"outside-{int(time.time())}"
    began = time.monotonic()
    ground.start_servers()
    try:
        fresh_database()
        with Installation(state) as place:
            told = story.play(place, people, kills, say)
            report = account.of(place, told, say)
    finally:
        ground.stop_servers()
    report["seconds"] = round(time.monotonic() - began, 1)
    out = Path(os.environ["UMS_VAR"]) / "rehearsal.json"
    out.write_text(json.dumps(report, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    verdict = "BROKEN: " + "; ".join(report["problems"]) if report["problems"] else "Everything holds"
    say(f"\n{verdict}; {out.name} has it all.")
    return 1 if report["problems"] else 0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
