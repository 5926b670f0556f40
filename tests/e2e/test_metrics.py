"""What Prometheus reads: all processes of the host added up."""
import json
import pathlib
import re
import shutil
import subprocess
import time

import pytest
import requests

import client
from refusals import csr_for, refused
from scraped import scrape
from waits import wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
MONITORING = TOP / 'deploy/monitoring'


def total(series, name, **labels):
    return sum(v for k, v in series.items() if k.startswith(name + '{') and
               all('%s="%s"' % kv in k for kv in labels.items()))


def test_requests_are_counted(stack, demo):
    n = 'countersign_requests_total'

    def settled():      # others' last ones are counted behind their answers
        s, _, t = scrape(stack), time.sleep(0.3), scrape(stack)
        return total(s, n) == total(t, n) and t
    before = wait_for(settled)
    for _ in range(8):
        assert client.Client(stack.env).enroll(csr_for(stack)).leaf
    refused(client.Client(stack.env, password='wrong').policies())
    refused(demo.enroll(csr_for(stack, template='NoSuch')))
    assert demo.policies().status == 200
    after = {}

    def grown(**labels):
        return total(after, n, **labels) - total(before, n, **labels)

    def counted():
        return (grown(service='ces', call='issue', outcome='issued',
                      method='password', template=stack.env['CS_TEMPLATE']),
                grown(service='cep', outcome='unauthenticated'),
                grown(service='ces', outcome='denied'),
                grown(service='cep', outcome='offered'))

    def all_counted():
        after.update(scrape(stack))
        return sum(counted()) >= 11
    # Each behind its answer.
    wait_for(all_counted, said=counted)
    assert counted() == (8, 1, 1, 1)
    stage = 'countersign_stage_seconds'
    assert after[stage + '_count{stage="total"}'] == \
        after[stage + '_bucket{stage="total",le="+Inf"}']
    buckets = [v for k, v in after.items()
               if k.startswith(stage + '_bucket{stage="total"')]
    assert buckets == sorted(buckets)
    assert 0 < after[stage + '_sum{stage="signer"}'] < \
        after[stage + '_sum{stage="total"}']
    assert after['countersign_policy_version'] >= 1
    assert after['countersign_metrics_dropped_total'] == 0


def test_signers_and_publisher(stack, demo):
    assert demo.enroll(csr_for(stack)).leaf

    def issued():
        sums = [scrape(stack, 'metrics/signer-%d.prom' % n)
                for n in range(1, len(stack.pids('signer')) + 1)]
        return sum(total(s, 'countersign_signer_decisions_total', call='issue',
                         outcome='issued') for s in sums) > 0 and sums
    sums = wait_for(issued)
    for i, s in enumerate(sums, 1):
        who = '{signer="signer-%d"}' % i
        assert s['countersign_signer_database_up' + who] == 1
        assert s['countersign_signer_ledger_entries' + who] > 0
        assert s['countersign_signer_queue' + who] >= 0
        assert s['countersign_policy_version' + who] >= 1
        assert time.time() - 600 < \
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
    to = 'countersign_publisher_updated_timestamp_seconds{to="%s"}' % (
        stack.dir.resolve() / 'web/ca')
    assert time.time() - 600 < p[to] <= time.time() + 1
    assert p['countersign_certificates_expiring{template="%s",days="7"}' %
             stack.env['CS_TEMPLATE']] >= 0
    whole = scrape(stack)       # the host's: all of that, too
    assert {k for s in [*sums, p] for k in s} <= set(whole)
    assert total(whole, 'countersign_signer_decisions_total') >= sum(
        total(s, 'countersign_signer_decisions_total') for s in sums)


def test_a_publisher_that_cannot(stack, tmp_path):
    """It tells of no success, so that what it has told grows old."""
    (tmp_path / 'file').write_text('')
    text = tmp_path / 'p.prom'
    with open(tmp_path / 'log', 'w') as log:
        p = subprocess.Popen(
            [*stack.ctl_words(), 'crl', 'publish', '--watch', '--to',
             tmp_path / 'file/ca', '--metrics', text], stderr=log)
        try:
            wait_for(lambda: (tmp_path / 'log').read_text().count(
                'event=publish') > 2)
        finally:
            p.terminate()
            p.wait(300)
    assert not text.exists()


def test_only_this_host(stack):
    """nginx shows neither to others; nothing else is in that folder."""
    site = (stack.dir / 'etc/site.conf').read_text()
    for place in ('= /metrics', '= /status', '~ "^/metrics/'):
        block = site[site.index('location ' + place):]
        block = block[:block.index('\n\t}')]
        assert 'allow 127.0.0.0/8;' in block and 'deny all;' in block
    for path in ('metrics/', 'metrics/../index.html.prom', 'metrics/x.prom'):
        r = requests.get(stack.env['CS_HOME_URL'] + path,
                         verify=stack.env['CS_ROOT_PEM'], timeout=300)
        assert r.status_code == 404


def expressions():
    """What the rules and the dashboard ask Prometheus for."""
    text = (MONITORING / 'alerts.yml').read_text()
    rules = re.findall(r'expr: (?:\|\n((?:          .*\n)+)|(.*))', text)
    todo, panels = [json.loads((MONITORING / 'grafana.json').read_text())], []
    while todo:
        x = todo.pop()
        todo += x.values() if isinstance(x, dict) else \
            x if isinstance(x, list) else []
        if isinstance(x, dict) and 'expr' in x:
            panels.append(x['expr'])
    assert len(rules) == text.count('- alert:') and len(panels) > 10
    return [a or b for a, b in rules] + panels


def test_rules_and_dashboard_name_what_there_is(stack, demo):
    """Each metric is of a program, and is there with its labels; only delta
    lists are not in this policy."""
    assert demo.enroll(csr_for(stack)).leaf
    known = set(re.findall(r'\{ "(countersign_\w+)"',
                           (TOP / 'common/metrics.c').read_text()))
    deltas = {n for n in known if '_delta_' in n}

    def found():
        labels.clear()
        for line in scrape(stack):
            name, _, rest = line.partition('{')
            base = re.sub('_(bucket|sum|count)$', '', name)
            labels.setdefault(name if name in known else base, set()).update(
                re.findall(r'(\w+)="', rest))
        return known - deltas <= set(labels)
    # The publisher writes each minute.
    labels = {}
    wait_for(found, said=lambda: known - deltas - set(labels))
    assert known - deltas == set(labels) - deltas
    everyone = set().union(*labels.values()) | {'instance'}
    for expr in expressions():
        for names in re.findall(r'by \(([^)]*)\)', expr):
            assert set(re.findall(r'\w+', names)) <= everyone, expr
        for name, asked in re.findall(r'(countersign_\w+)(\{[^}]*\})?', expr):
            base = re.sub('_(bucket|sum|count)$', '', name)
            base = name if name in known else base
            assert base in known, expr
            assert base in deltas or set(re.findall(
                r'(\w+)(?:=|!~)', asked)) <= labels[base], expr


@pytest.mark.skipif(shutil.which('promtool') is None, reason='no promtool')
def test_promtool(stack, tmp_path):
    """Prometheus' own judgement of rules, of when they fire, and of what it
    is told."""
    for path in (MONITORING / 'alerts.yml', TOP / 'tests/data/alerts-test.yml'):
        shutil.copy(path, tmp_path)
    text = requests.get(stack.env['CS_HOME_URL'] + 'metrics', timeout=300,
                        verify=stack.env['CS_ROOT_PEM']).text
    for words in (['check', 'rules', 'alerts.yml'],
                  ['test', 'rules', 'alerts-test.yml'], ['check', 'metrics']):
        r = subprocess.run(['promtool', *words], cwd=tmp_path, text=True,
                           input=text, capture_output=True)
        assert r.returncode == 0, r.stdout + r.stderr
