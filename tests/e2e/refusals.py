"""Requests that are refused by workers that stay as they were."""
import re

import pytest

import client
from schema import check_fault, check_rstrc


@pytest.fixture(autouse=True)
def survives(stack):
    """No refusal may cost a worker or signer process."""
    before = stack.pids('worker'), stack.pids('signer')
    yield
    assert (stack.pids('worker'), stack.pids('signer')) == before


def refused(reply, hresult=None, words=None):
    check_fault(reply)
    if hresult is not None:
        assert reply.hresult == hresult, (hex(reply.hresult or 0),
                                          reply.reason)
    if words:
        assert re.search(words, reply.reason, re.I), reply.reason
    return reply


def csr_for(stack, key=None, cn='bad.demo.example', **kw):
    kw.setdefault('template', stack.env['CS_TEMPLATE'])
    return client.make_csr(key or client.ec_key(), cn, **kw)


def message(stack, demo, service='cep'):
    if service == 'cep':
        url = stack.env['CS_CEP_URL']
        return url, client.envelope(client.GETPOLICIES, url,
                                    client.get_policies(),
                                    demo.header()).decode()
    url = stack.env['CS_CES_URL']
    return url, client.envelope(client.RST, url, client.rst(csr_for(stack)),
                                demo.header()).decode()


def pending(reply):
    check_rstrc(reply)
    assert reply.findtext('.//e:DispositionMessage') == \
        'Taken Under Submission'
    assert reply.leaf is None
    return reply.request_id
