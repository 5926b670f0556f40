"""Ports for servers that start later."""
import contextlib
import os
import random
import socket

given = set()


def free_port():
    """One of this run's own (PORTS, as make run takes them): neither a run
    beside it nor the near end of a connection gets it meanwhile."""
    first, last = map(int, os.environ.get('PORTS', '10000-31999').split('-'))
    while True:
        port = random.choice([p for p in range(first, last + 1)
                              if p not in given])
        with contextlib.suppress(OSError), \
                socket.create_server(('127.0.0.1', port)):
            given.add(port)
            return port
