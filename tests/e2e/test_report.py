"""report: the page says what the database says, and nothing that stands in
requests becomes part of it."""
import os
import re

import pytest
from lxml import etree

import browser
import client


def page(stack, *args):
    text = stack.ctl('report', *args).stdout
    assert text.startswith('<!DOCTYPE html>\n')
    # Well formed, so that no text can have become an element.
    return etree.fromstring(text.split('\n', 1)[1])


def section(root, name):
    return root.find('.//section[@id="%s"]' % name)


def rows(root, name):
    return [[''.join(td.itertext()) for td in tr.findall('td')]
            for tr in section(root, name).iter('tr')][1:]


def said(root, name):
    """Of the line above a picture: how many of what."""
    return {x.text.split()[1]: int(x.text.split()[0])
            for x in section(root, name).iter('b')}


def columns(root, name):
    return [g.find('title').text for g in section(root, name).iter('g')]


@pytest.fixture(scope='module')
def asked(stack, demo):
    for i in range(3):
        name = 'report%d.demo.example' % i
        assert demo.enroll(client.make_csr(client.ec_key(), name, [name],
                                           stack.env['CS_TEMPLATE'])).leaf
    r = demo.enroll(client.make_csr(
        client.ec_key(), 'waits.demo.example', ['waits.demo.example'],
        stack.env['CS_TEMPLATE_APPROVAL']))
    # Of one kind of refusal the page has the last one's words, and only of
    # those that are most: more than others' tests make of theirs.
    for name in ['evil\u202e<b>&"', '</td><script>'] * 5:
        bad = demo.enroll(client.make_csr(client.ec_key(), name, [],
                                          stack.env['CS_TEMPLATE']))
        assert bad.leaf is None
    return r.findtext('.//e:RequestID')


def test_a_table_or_nothing(stack):
    root = page(stack)
    for name in 'waits', 'denied', 'next', 'templates', 'keys':
        nothing = 'Nothing.' in [p.text for p in section(root, name).iter('p')]
        assert nothing == (rows(root, name) == []), name
        assert nothing != bool(list(section(root, name).iter('table'))), name


def of_one_moment(look, *words):
    """A page, and what look() tells before and behind it: a day may end, other
    tests' certificates do, and lists are made."""
    while True:
        before, root = look(), page(*words)
        if look() == before:
            return root, before


def counts(stack):
    days = 'day > extract(epoch FROM now()) / 86400 - 30'
    valid = 'not_after > now() AND revoked_at IS NULL'
    return [stack.sql(x) for x in (
        "SELECT (now() AT TIME ZONE 'UTC')::date::text",
        'SELECT state, count(*) FROM countersign.request WHERE ' + days +
        ' GROUP BY state',
        'SELECT template, count(*) FROM countersign.certificate WHERE ' +
        valid + ' GROUP BY 1 ORDER BY 2 DESC, 1',
        'SELECT count(*) FROM (SELECT DISTINCT account, template, subject, '
        'san FROM countersign.certificate WHERE ' + valid + ') h',
        "SELECT count(*) FROM countersign.request WHERE state = 'denied' AND "
        + days + ' GROUP BY hresult, template ORDER BY 1 DESC LIMIT 12')]


def test_counts(stack, asked):
    root, told = of_one_moment(lambda: counts(stack), stack)
    ((today,),), states, valid, ((holders,),), denied = told
    count = dict(states)
    assert said(root, 'days') == {
        'issued': count['issued'], 'waiting': count['pending'],
        'refused': count['denied']}
    assert len(columns(root, 'days')) == 30
    last = columns(root, 'days')[-1]
    assert last.startswith(today + ': ')
    axis = [x.text for x in section(root, 'days').iter('span')]
    highest = max(sum(int(n) for n in re.findall(r' (\d+) ', c))
                  for c in columns(root, 'days'))
    assert axis == [columns(root, 'days')[0].split(':')[0],
                    'highest: %d' % highest, today]
    assert [(r[0], int(r[2])) for r in rows(root, 'templates')] == valid
    assert said(root, 'ends') == {'holders': holders}
    assert [int(r[5]) for r in rows(root, 'denied')] == [n for n, in denied]
    assert denied
    for r in rows(root, 'denied'):
        assert stack.ctl_json('request', 'show', r[3])[0]['message'] == r[2]
    assert len(columns(page(stack, '--days', '7'), 'days')) == 7


def test_who_should_have_renewed(stack, admin):
    """Not who has, and not who has a third of a short life left."""
    c = stack.account('reported', groups=['web-admins'])

    def enroll(name):
        return c.enroll(client.make_csr(
            client.ec_key(), name, [name], stack.env['CS_TEMPLATE'])).leaf

    def age(leaf, days, left):
        admin(
            'UPDATE countersign.certificate SET not_before = now() - '
            "(%s - %s) * interval '1 day', not_after = now() + "
            "%s * interval '1 day' WHERE der = %s",
            (days, left, left, leaf))

    certs = {n: enroll(n + '.demo.example') for n in ('late', 'new', 'short')}
    before = stack.sql('SELECT not_before, not_after, serial FROM '
                       "countersign.certificate WHERE account = 'reported'")
    admin('SET session_replication_role = replica')
    try:
        age(certs['late'], 365, 10)
        age(certs['new'], 365, 10)
        age(certs['short'], 30, 10)
        enroll('new.demo.example')
        mine = [r for r in rows(page(stack), 'next') if r[0] == 'reported']
    finally:
        for row in before:
            admin('UPDATE countersign.certificate SET not_before = %s, '
                  'not_after = %s WHERE serial = %s', row)
    assert [r[1:3] for r in mine] == [
        [stack.env['CS_TEMPLATE'], 'CN=late.demo.example '
         'DNS:late.demo.example']]


def test_long_names_hide_no_column(stack, asked, tmp_path):
    """As a browser lays it out, on a screen and on paper."""
    user, name = stack.env['CS_USER'], 'waits.demo.example'
    text = stack.ctl('report').stdout
    assert '>%s<' % user in text and name in text
    text = text.replace('>%s<' % user, '>%s<' % ('long' * 30)).replace(
        name, 'x' * 63 + '.' + 'y' * 63)
    for page_text, width in (text, 1280), (browser.on_paper(text), 794):
        over = browser.look(tmp_path, page_text, width,
                            '[...document.querySelectorAll("section")].map('
                            's => s.scrollWidth - s.clientWidth)').split(',')
        assert len(over) == 7 and not any(int(x) > 0 for x in over), over


def test_what_waits(stack, asked):
    mine = [r for r in rows(page(stack), 'waits') if r[0] == asked]
    assert mine and mine[0][2:] == [
        stack.env['CS_USER'], stack.env['CS_TEMPLATE_APPROVAL'],
        'CN=waits.demo.example', 'DNS:waits.demo.example']
    stack.ctl('request', 'deny', asked)
    assert asked not in [r[0] for r in rows(page(stack), 'waits')]


def test_hostile_names(stack, asked):
    text = stack.ctl('report').stdout
    assert '\u202e' not in text and '<script' not in text
    root = page(stack)
    assert not list(root.iter('script', 'b{*}script'))
    assert any('</td><script>' in r[2] for r in rows(root, 'denied'))


def test_keys(stack):
    root, (shown, *_) = of_one_moment(
        lambda: stack.ctl_json('crl', 'show', 'Demo-CA'), stack)
    ca, = [r for r in rows(root, 'keys') if r[0] == 'Demo-CA']
    assert ca[1:3] == ['Demo-CA', 'issues']
    assert ca[3] == stack.ctl_json('ca', 'show', 'Demo-CA')[0][
        'not_after'][:10]
    assert ca[5:] == [str(shown['number']), shown['next_update'],
                      str(shown['entries'])]


def test_file(stack, tmp_path):
    path = tmp_path / 'r.html'
    stack.ctl('report', '-o', str(path))
    assert os.stat(path).st_mode & 0o777 == 0o600
    etree.fromstring(path.read_text().split('\n', 1)[1])
    r = stack.ctl('report', '--days', '0', ok=2)
    assert '--days' in r.stderr
