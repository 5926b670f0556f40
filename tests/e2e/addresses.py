"""Clients that come from an address of their own."""
from requests.adapters import HTTPAdapter

import client


class From(HTTPAdapter):
    """Connections from one address of the loopback network."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *a, **kw):
        super().init_poolmanager(*a, source_address=(self.address, 0), **kw)


def at(stack, address, user, password):
    c = client.Client(stack.env, user, password)
    c.http.mount('https://', From(address))
    return c
