"""Stop switches as SQL: asked when a batch is leased, and once more in the transaction of every intent."""

from __future__ import annotations

# Over c (campaigns_campaign) and a (ums_channels_channelaccount). The table of switches that are set has few rows or none.
STOPPED = """EXISTS (SELECT 1 FROM campaigns_stopswitch s WHERE s.released_at IS NULL AND (s.until IS NULL OR s.until > now())
  AND (s.scope = 'everything' OR (s.scope = 'business_line' AND s.key = c.business_line_id::text)
       OR (s.scope = 'class' AND s.key = c.message_class) OR (s.scope = 'channel' AND s.key = a.kind)
       OR (s.scope = 'account' AND s.key = a.id::text)
       OR (s.scope = 'template' AND s.key = (SELECT v.template_id::text FROM templates_templateversion v
                                             WHERE v.id = c.template_version_id))))"""
# Over a alone: nothing at all may be sent over this account, whatever it is.
ACCOUNT_STOPPED = """EXISTS (SELECT 1 FROM campaigns_stopswitch s
  WHERE s.released_at IS NULL AND (s.until IS NULL OR s.until > now())
  AND ((s.scope = 'account' AND s.key = a.id::text) OR (s.scope = 'channel' AND s.key = a.kind)))"""
# A canary that has had its share waits for its verdict: none of its campaign's batches is leased meanwhile.
CANARY_OUT = "coalesce(c.canary_left, 1) = 0"
HELD_BACK = f"({CANARY_OUT} OR {STOPPED})"
