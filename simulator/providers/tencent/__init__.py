"""Tencent Cloud: short messages."""
