"""The console's pages of accounts, of kinds of channel, and of what providers said that nobody has mapped yet."""

from apps.channels.admin.accounts import ChannelAccountAdmin
from apps.channels.admin.provider_templates import ProviderTemplateAdmin
from apps.channels.admin.unmapped import UnmappedCodeAdmin

__all__ = ["ChannelAccountAdmin", "ProviderTemplateAdmin", "UnmappedCodeAdmin"]
