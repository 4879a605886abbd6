"""Ports that nobody listens on now."""

import socket


def free_ports(count: int) -> list[int]:
    """So many different free ports of loopback."""
    opened = [socket.socket() for _ in range(count)]
    try:
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]
    finally:
        for each in opened:
            each.close()
