"""Feishu: single messages, announcements, robots of groups, read receipts."""
