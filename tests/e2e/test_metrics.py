"""What Prometheus reads: all processes of the host added up."""
import re
import time

import requests

import client
from test_refusals import csr_for, refused


def scrape(stack, path='metrics'):
    """Series to value; every line must be of the text format."""
    r = requests.get(stack.env['CS_HOME_URL'] + path,
                     verify=stack.env['CS_ROOT_PEM'], timeout=20)
    assert r.status_code == 200, r.text
    assert r.headers['Content-Type'].startswith('text/plain; version=0.0.4')
    out, types = {}, {}
    for line in r.text.splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            assert types.setdefault(name, kind) == kind
            continue
        if line.startswith('# HELP '):
            continue
        m = re.fullmatch(r'([a-z_]+)(\{[^{}]*\})? (-?[\d.]+)', line)
        assert m, line
        base = re.sub('_(bucket|sum|count)$', '', m[1])
        assert m[1] in types or types.get(base) == 'histogram', line
        out[m[1] + (m[2] or '')] = float(m[3])
    return out


def total(series, name, **labels):
    return sum(v for k, v in series.items() if k.startswith(name + '{') and
               all('%s="%s"' % kv in k for kv in labels.items()))


def test_requests_are_counted(stack, demo):
    before = scrape(stack)
    for _ in range(8):
        assert client.Client(stack.env).enroll(csr_for(stack)).leaf
    refused(client.Client(stack.env, password='wrong').policies())
    refused(demo.enroll(csr_for(stack, template='NoSuch')))
    assert demo.policies().status == 200
    time.sleep(0.2)
    after = scrape(stack)

    def grown(**labels):
        name = 'countersign_requests_total'
        return total(after, name, **labels) - total(before, name, **labels)
    assert grown(service='ces', call='issue', outcome='issued',
                 method='password',
                 template=stack.env['CS_TEMPLATE']) == 8
    assert grown(service='cep', outcome='unauthenticated') == 1
    assert grown(service='ces', outcome='denied') == 1
    assert grown(service='cep', outcome='offered') == 1
    n = 'countersign_stage_seconds'
    assert after[n + '_count{stage="total"}'] == \
        after[n + '_bucket{stage="total",le="+Inf"}']
    buckets = [v for k, v in after.items()
               if k.startswith(n + '_bucket{stage="total"')]
    assert buckets == sorted(buckets)
    assert 0 < after[n + '_sum{stage="signer"}'] < \
        after[n + '_sum{stage="total"}']
    assert after['countersign_policy_version'] >= 1
    assert after['countersign_metrics_dropped_total'] == 0


def test_signers_and_publisher(stack, demo):
    assert demo.enroll(csr_for(stack)).leaf
    until = time.time() + 40
    while True:
        sums = [scrape(stack, 'metrics/signer-%d.prom' % n)
                for n in range(1, len(stack.pids('signer')) + 1)]
        if sum(total(s, 'countersign_signer_decisions_total', call='issue',
                     outcome='issued') for s in sums) > 0:
            break
        assert time.time() < until
        time.sleep(1)
    for i, s in enumerate(sums, 1):
        who = '{signer="signer-%d"}' % i
        assert s['countersign_signer_database_up' + who] == 1
        assert s['countersign_signer_ledger_entries' + who] > 0
        assert s['countersign_policy_version' + who] >= 1
        assert time.time() - 60 < \
            s['countersign_signer_updated_timestamp_seconds' + who] <= \
            time.time() + 1
        if total(s, 'countersign_signer_decisions_total', outcome='issued'):
            for name in ('sign', 'commit', 'wait'):
                assert s['countersign_signer_%s_seconds_count%s' % (
                    name, who)] > 0
    p = scrape(stack, 'metrics/publisher.prom')
    ca = stack.env['CS_CES_URL'].split('/')[3].rsplit('_CES_', 1)[0]
    made = p['countersign_crl_made_timestamp_seconds{ca="%s"}' % ca]
    ends = p['countersign_crl_ends_timestamp_seconds{ca="%s"}' % ca]
    assert made <= time.time() < ends
    assert p['countersign_certificates_expiring{template="%s",days="7"}' %
             stack.env['CS_TEMPLATE']] >= 0
    whole = scrape(stack)       # the host's: all of that, too
    assert {k for s in [*sums, p] for k in s} <= set(whole)
    assert total(whole, 'countersign_signer_decisions_total') >= sum(
        total(s, 'countersign_signer_decisions_total') for s in sums)


def test_only_this_host(stack):
    """nginx shows neither to others; nothing else is in that folder."""
    site = (stack.dir / 'etc/site.conf').read_text()
    for place in ('= /metrics', '= /status', '~ "^/metrics/'):
        block = site[site.index('location ' + place):]
        block = block[:block.index('\n\t}')]
        assert 'allow 127.0.0.0/8;' in block and 'deny all;' in block
    for path in ('metrics/', 'metrics/../index.html.prom', 'metrics/x.prom'):
        r = requests.get(stack.env['CS_HOME_URL'] + path,
                         verify=stack.env['CS_ROOT_PEM'], timeout=20)
        assert r.status_code == 404
