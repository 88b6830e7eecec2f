"""The console's pages of content."""

from apps.templates.admin.templates import MessageTemplateAdmin
from apps.templates.admin.versions import TemplateVersionAdmin

__all__ = ["MessageTemplateAdmin", "TemplateVersionAdmin"]
