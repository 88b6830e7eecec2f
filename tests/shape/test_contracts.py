"""Each import contract fails when it is broken: a violation is planted into a copy of the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = {
    "Imports point down only": ("apps/operators/planted.py", "import apps.campaigns.states\n"),
    "Inside an app: doors, then services, then models": ("apps/partners/models.py", "import apps.partners.tasks\n"),
    "Pure modules know no framework": ("apps/campaigns/states.py", "import django.utils.timezone\n"),
    "A provider knows no other provider": (
        "apps/channels/providers/sms_aliyun/adapter.py",
        "import apps.channels.providers.push_jpush.adapter\n",
    ),
    "Providers know the contract and its outcomes, no row, no service, no setting": (
        "apps/channels/providers/sms_aliyun/adapter.py",
        "import apps.channels.models\n",
    ),
    "Production never imports the simulated world, the bench or the tests": (
        "apps/reports/planted.py",
        "import simulator.ledger\n",
    ),
}
ALSO_MADE = {"apps/partners/models.py": "apps/partners/tasks.py"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("apps", "ums_site"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"}
    command = [str(program), "--no-cache"]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert all(f"{name} KEPT" in done.stdout for name in CONTRACTS)
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_planted_violation_breaks_it(tree: Path, name: str) -> None:
    path, line = CONTRACTS[name]
    place = tree / path
    place.write_text(line + (place.read_text(encoding="utf-8") if place.exists() else ""), encoding="utf-8")
    if path in ALSO_MADE:
        (tree / ALSO_MADE[path]).touch()
    done = lint(tree)
    assert done.returncode != 0
    assert f"{name} BROKEN" in done.stdout, done.stdout
