"""The rows of people, one module a subject. Everybody imports them from here."""

from apps.users.models.people import Attribute, Binding, PeopleImport, Recipient, Scope, Tag
from apps.users.models.protection import BlacklistEntry, ConsentRecord, MessageClass

__all__ = [
    "Attribute",
    "Binding",
    "BlacklistEntry",
    "ConsentRecord",
    "MessageClass",
    "PeopleImport",
    "Recipient",
    "Scope",
    "Tag",
]
