"""The settings of the embedded Postgres: sized by the memory of the machine, private in what it logs."""

import os
import shutil
from pathlib import Path

from ums_site.embedded_seat import Seat

MEGABYTE = 1024 * 1024


def write_configuration(seat: Seat, sockets: Path) -> None:
    """Our settings as one file that every start writes anew; a site's own go to postgres.local.conf beside the data."""
    memory = _memory_megabytes()
    shared_memory = "posix" if _free_megabytes(Path("/dev/shm")) > 256 else "mmap"
    quoted = str(sockets).replace("'", "''")
    lines = [
        "# Written at every start. Put settings of your own into ../postgres.local.conf.",
        "listen_addresses = ''",
        f"unix_socket_directories = '{quoted}'",
        "unix_socket_permissions = 0700",
        "max_connections = 200",
        f"shared_buffers = {max(32, min(512, memory // 8))}MB",
        f"effective_cache_size = {max(128, memory // 2)}MB",
        "work_mem = 16MB",
        f"maintenance_work_mem = {max(32, min(256, memory // 16))}MB",
        f"dynamic_shared_memory_type = {shared_memory}",
        "synchronous_commit = on",
        "wal_compression = pglz",
        "max_wal_size = 4GB",
        "checkpoint_timeout = 15min",
        "jit = off",
        "random_page_cost = 1.1",
        "timezone = 'UTC'",
        "log_timezone = 'UTC'",
        "log_line_prefix = '%m [%p] '",
        "log_parameter_max_length = 0",
        "log_parameter_max_length_on_error = 0",
        "log_error_verbosity = terse",
        "log_min_error_statement = panic",
        "include_if_exists = '../postgres.local.conf'",
    ]
    target = seat.data / "postgresql.conf"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if os.geteuid() == 0:
        os.chown(target, seat.identity.file_owner, -1)


def _memory_megabytes() -> int:
    """Memory this installation may use: the machine's, or less inside a container with a limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(limit).read_text(encoding="ascii")) // MEGABYTE)
        except (OSError, ValueError):
            continue
    return min(found)


def _free_megabytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free // MEGABYTE
    except OSError:
        return 0
