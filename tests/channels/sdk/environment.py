"""Python environments in which providers' own clients run: one for each folder beside this file, made once.

The clients want versions that the product does not, and some are big, so they never come into its environment. A folder
holds requirements.txt (pinned, hashed) and the scripts that run in there: JSON on standard input, JSON on standard output.
"""

import fcntl
import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PLACE = Path(__file__).resolve().parents[3] / "var" / "sdk"
INSTALL_SECONDS = 300
UNREACHABLE = (
    "NewConnectionError",
    "Max retries exceeded",
    "Read timed out",
    "Connection refused",
    "Connection reset",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "ProxyError",
)


def python_of(name: str) -> Path:
    """The python of an environment, made or made anew where its requirements changed.

    Skips the test where the package index cannot be reached, and only then.
    """
    wanted = HERE / name / "requirements.txt"
    stamp = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    home = PLACE / name
    home.mkdir(parents=True, exist_ok=True)
    python = home / "bin" / "python"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = home / "made"
        if not made.exists() or made.read_text() != stamp:
            made.unlink(missing_ok=True)
            _make(home, python, wanted)
            made.write_text(stamp)
    return python


def _make(home: Path, python: Path, wanted: Path) -> None:
    venv.EnvBuilder(clear=False, with_pip=True, symlinks=True).create(home)
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "2"]
    done = subprocess.run(
        [*command, "--require-hashes", "-r", str(wanted)], capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    if done.returncode and any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-2000:]


def run(python: Path, script: str, document: Any, seconds: float = 60.0) -> Any:
    """Run a script of this folder, e.g. "tencent/send.py", and return what it says; fails with its own words."""
    done = subprocess.run(
        [str(python), "-W", "ignore", str(HERE / script)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
