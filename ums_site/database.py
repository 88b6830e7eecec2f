"""What kind of trouble with the database an error is."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError


def connection_lost(error: BaseException) -> bool:
    """Whether the database went away, rather than refused what we asked.

    psycopg2 says "server closed the connection unexpectedly" as a bare DatabaseError; faults of ours are subclasses.
    """
    return isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError
