from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "apps.campaigns"
    label = "campaigns"
    verbose_name = _("Sending")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Lets template previews find a person: templates may not import users, campaigns stands above both."""
        from apps.campaigns.preview_person import lookup
        from apps.templates import people

        people.register(lookup)
