from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReportsConfig(AppConfig):
    name = "apps.reports"
    label = "reports"
    verbose_name = _("Reports")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Lane `work` stores the figures of finished campaigns."""
        from apps.campaigns.tasks import BACKGROUND
        from apps.reports.services import finish_due

        BACKGROUND.append(finish_due)
