"""Ports for servers that a test starts as processes."""

import socket


def some_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on. The system picks it at random: two who ask at once get two, unlike who counts upwards."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
