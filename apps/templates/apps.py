from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TemplatesConfig(AppConfig):
    name = "apps.templates"
    label = "templates"
    verbose_name = _("Content")
    default_auto_field = "django.db.models.BigAutoField"
