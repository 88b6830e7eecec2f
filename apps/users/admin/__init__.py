"""The console's pages of people."""

from apps.users.admin.blacklist import BlacklistAdmin
from apps.users.admin.consents import ConsentAdmin
from apps.users.admin.imports import PeopleImportAdmin
from apps.users.admin.labels import AttributeAdmin, TagAdmin
from apps.users.admin.recipients import BindingAdmin, RecipientAdmin

__all__ = [
    "AttributeAdmin",
    "BindingAdmin",
    "BlacklistAdmin",
    "ConsentAdmin",
    "PeopleImportAdmin",
    "RecipientAdmin",
    "TagAdmin",
]
