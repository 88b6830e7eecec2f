"""What Django looks up for this language; the rest of its own formats stays."""

from ums_site.formats import *  # noqa: F403
