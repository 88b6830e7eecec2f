"""Alipay: the open gateway with life-account messages."""
