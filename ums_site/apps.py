"""The technical part of UMS as a Django app: system checks and commands."""

from django.apps import AppConfig


class UmsSiteConfig(AppConfig):
    """Registers the system checks."""

    name = "ums_site"
    label = "ums_site"
    verbose_name = "UMS"

    def ready(self) -> None:
        """Importing the checks registers them."""
        from ums_site import checks  # noqa: F401
