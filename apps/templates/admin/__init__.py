"""The console's pages of content."""

from apps.templates.admin.templates import MessageTemplateAdmin
from apps.templates.admin.versions import TemplateVersionAdmin
from apps.templates.admin.word_lists import ListedWordAdmin, WordListAdmin

__all__ = ["ListedWordAdmin", "MessageTemplateAdmin", "TemplateVersionAdmin", "WordListAdmin"]
