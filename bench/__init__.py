"""Measured speed: what this work costs at best (limits), what others need for it (peers), what we need. See README.md."""
