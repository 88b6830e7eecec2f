"""Settings from the environment, strictly: a word that is not understood stops the start and names its remedy.

Every variable may also come from a file: `NAME_FILE=/path` is read instead of `NAME` (secrets, container mounts).
"""

import os
import secrets
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"true", "1"})
FALSE_WORDS = frozenset({"false", "0"})


def refuse(name: str, found: str, remedy: str) -> ImproperlyConfigured:
    """The error for a variable that is not understood; the value is left out where it may be a secret."""
    shown = "" if _is_secret(name) else f" (found {found!r})"
    return ImproperlyConfigured(f"{name} is not understood{shown}. {remedy}")


def _is_secret(name: str) -> bool:
    return any(part in name for part in ("SECRET", "PASSWORD", "KEY", "URL", "TOKEN"))


def _raw(name: str) -> str | None:
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return os.environ.get(name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE: cannot read {path}: {error.strerror}. Check path and owner."
        ) from error


def text(name: str, default: str) -> str:
    """The variable as it stands, or the default when it is unset or empty."""
    return _raw(name) or default


def boolean(name: str, default: bool) -> bool:
    """true/1 or false/0; any other word is an error, so that a typing slip never means "off"."""
    value = _raw(name)
    if not value:
        return default
    if value.lower() in TRUE_WORDS:
        return True
    if value.lower() in FALSE_WORDS:
        return False
    raise refuse(name, value, "Say true, false, 1 or 0.")


def whole(name: str, default: int, at_least: int = 0) -> int:
    """A whole number, not below `at_least`."""
    value = _raw(name)
    if not value:
        return default
    if not value.isascii() or not value.isdecimal() or int(value) < at_least:
        raise refuse(name, value, f"Give a whole number from {at_least}.")
    return int(value)


def seconds(name: str, default: float) -> float:
    """A duration in seconds, above zero; decimals allowed."""
    value = _raw(name)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError as error:
        raise refuse(name, value, "Give a number of seconds, such as 10 or 0.5.") from error
    if not 0 < number < 86_400:
        raise refuse(name, value, "Give seconds above 0 and below one day.")
    return number


def word(name: str, default: str, allowed: Collection[str]) -> str:
    """One of the allowed words."""
    value = _raw(name) or default
    if value not in allowed:
        raise refuse(name, value, f"Say one of: {', '.join(sorted(allowed))}.")
    return value


def words(name: str) -> list[str]:
    """A comma-separated list; empty when unset."""
    return [part.strip() for part in (_raw(name) or "").split(",") if part.strip()]


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """A comma-separated list of addresses and networks such as 10.1.0.0/16; empty when unset."""
    found = []
    for word in words(name):
        try:
            found.append(ip_network(word))
        except ValueError as wrong:
            raise refuse(name, word, "Say IP addresses or networks such as 10.1.0.0/16, divided by commas.") from wrong
    return found


def folder(name: str, default: Path) -> Path:
    """An absolute folder. It need not exist yet."""
    return Path(os.path.abspath(Path(_raw(name) or default).expanduser()))


def database(url: str) -> dict[str, Any]:
    """Django's connection settings for `postgres://user:password@host:port/name?host=/socket/folder&sslmode=...`."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise refuse("DATABASE_URL", url, "Give postgres://user:password@host:port/name.")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or query.pop("user", "")),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or query.pop("port", "")),
        "OPTIONS": query,
    }


def secret_from(path: Path) -> str:
    """The secret in this file. Made on the first start (mode 0600); two first starts at once agree on one secret."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(64))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another first start was quicker; its secret counts
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
