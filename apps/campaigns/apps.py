from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CampaignsConfig(AppConfig):
    name = "apps.campaigns"
    label = "campaigns"
    verbose_name = _("Sending")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Lets pages below show what they may not import: a template preview a person, an account people and figures."""
        from apps.campaigns import budget_effects, foresight
        from apps.campaigns.beside_accounts import BesideAccounts
        from apps.campaigns.pipeline.replies import forget
        from apps.campaigns.preview_person import lookup
        from apps.channels import above
        from apps.templates import people
        from apps.users import services

        people.register(lookup)
        if forget not in services.BEFORE_DELETING:
            services.BEFORE_DELETING.append(forget)
        above.register(BesideAccounts())
        if budget_effects.effects not in foresight.EFFECTS:
            foresight.EFFECTS.append(budget_effects.effects)
