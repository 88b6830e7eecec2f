"""Alibaba Cloud: short messages and 5G messages."""
