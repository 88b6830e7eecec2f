"""expand_plan, receipts, import_csv: set-based work against the least that Postgres must do for the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.child import run_together
from bench.databases import fresh, var_folder
from bench.hook_load import WARM_UP
from bench.people import write_csv
from bench.reports import A_BODY
from bench.rows import Row, compare
from bench.stage import WORK, Stage, Wrong
from ums_site.launcher import Launcher
from ums_site.processes import free_port, web

LIMITS = "bench.bare.sql_limits"
DELIVERIES = "SELECT count(*) FROM campaigns_delivery d JOIN campaigns_message m ON m.id = d.message_id"
RECEIPTS = "SELECT count(*) FROM campaigns_receipt r JOIN campaigns_delivery d ON d.id = r.delivery_id AND d.state = 'DELIVERED'"
SUCCEEDED = "SELECT count(*) FROM campaigns_message WHERE state = 'SUCCEEDED'"
BINDINGS = "SELECT count(*) / 3 FROM users_binding b JOIN users_recipient r ON r.id = b.recipient_id"
PEOPLE = "SELECT count(*) FROM peers_person"
DOUBLED = "10"
HOOK_PORT = 18_700


def expand_plan(stage: Stage) -> list[Row]:
    """Targets to messages, deliveries and batches, every target accounted for / two bare INSERT ... SELECT."""
    n = stage.size(100_000, 1_000_000)
    template = stage.campaign(n)
    ours, limit, ratio, spread = compare(
        lambda: stage.rate_of(template, n, DELIVERIES, WORK, "expand"),
        lambda: stage.rate_of(template, n, DELIVERIES, LIMITS, "expand"),
    )
    return [Row("expand_plan", n, ours, limit, "targets/s", ratio, spread, 0.35, "one process")]


def receipts(stage: Stage) -> list[Row]:
    """Bodies of 100 reports posted to the hook, sealed into the inbox and merged / the same rows in two bare statements."""
    n = stage.size(60_000, 500_000)
    template = stage.accepted(n)
    ours, limit, ratio, spread = compare(
        lambda: _through_hook(stage, template, n),
        lambda: stage.rate_of(template, n, RECEIPTS, LIMITS, "merge", DOUBLED),
    )
    note = "10 % repeated, shuffled; hook in gunicorn ×2, one merger"
    return [Row("receipts", n, ours, limit, "receipts/s", ratio, spread, 0.3, note)]


def _through_hook(stage: Stage, template: str, n: int) -> float:
    """n a second, from the first POST until every receipt is merged; the web server is that of `manage.py run`."""
    posts = -(-n * (100 + int(DOUBLED)) // 100 // A_BODY)
    port = free_port(HOOK_PORT)
    with fresh(template) as url:
        server = replace(web("127.0.0.1", port), env=stage.environment(url))
        with Launcher([server]) as launcher:
            launcher.wait_ready()
            provider = stage.child(url, "bench.hook_load", str(port), DOUBLED)
            merger = stage.child(url, WORK, "merge", str(posts + WARM_UP))
            seconds, answers = run_together([provider, merger])
        if answers[0]["statuses"] != {"200": posts}:
            raise Wrong(f"the hook answered {answers[0]['statuses']}")
        for proof in (RECEIPTS, SUCCEEDED):
            stage.prove(url, proof, n)
    return n / seconds


def import_csv(stage: Stage) -> list[Row]:
    """People with three addresses, checked, sealed, hashed / COPY and two upserts of the same rows."""
    n = stage.size(50_000, 1_000_000)
    path = _file(n)
    world = stage.world()
    ours, limit, ratio, spread = compare(
        lambda: stage.rate_of(world, n, BINDINGS, WORK, "imported", path),
        lambda: stage.rate_of(world, n, BINDINGS, LIMITS, "imported", path),
    )
    Path(path).unlink()
    return [Row("import_csv", n, ours, limit, "rows/s", ratio, spread, 0.25, "into empty tables")]


def import_csv_peer(stage: Stage) -> list[Row]:
    """The same / django-import-export with its bulk options, one row a person, nothing sealed."""
    n, theirs = 20_000, stage.size(5_000, 20_000)
    world, peers = stage.world(), stage.peers(0)
    mine, their_file = _file(n), _file(theirs)
    ours, limit, ratio, spread = compare(
        lambda: stage.rate_of(world, n, BINDINGS, WORK, "imported", mine),
        lambda: _import_export(stage, peers, their_file, theirs),
    )
    for path in (mine, their_file):
        Path(path).unlink()
    note = f"django-import-export, bulk, {theirs:,} rows"
    return [Row("import_csv_peer", n, ours, limit, "rows/s", ratio, spread, 10, note)]


def _import_export(stage: Stage, template: str, path: str, n: int) -> float:
    with fresh(template) as url:
        seconds, answers = run_together([stage.peer(url, "imported", path)])
        stage.prove(url, PEOPLE, n)
    if answers[0]["added"] != n:
        raise Wrong(f"the peer says that it added {answers[0]['added']}")
    return n / seconds


def _file(count: int) -> str:
    return str(write_csv(var_folder() / f"people-{count}.csv", count))
