"""Template versions: minor on edit, major makes clients enroll again."""
import re

import client
from client import NS
from policies import advertised, policy_file, published


def version(stack, name):
    body = re.search(r'template "%s" \{(.*?)\n\}' % name, published(stack),
                     re.S).group(1)
    return [int(x) for x in re.search(r'version = "(\d+)\.(\d+)"',
                                      body).groups()]


def test_edit_raises_the_minor_version(stack, demo, policy_file):
    name = stack.env['CS_TEMPLATE']
    major, minor = version(stack, name)
    other = version(stack, stack.env['CS_TEMPLATE_MACHINE'])
    text = published(stack)
    head, tail = text.split('template "%s" {' % name)
    policy_file.write_text(head + 'template "%s" {' % name + tail.replace(
        'validity = 1y', 'validity = 300d', 1))
    r = stack.ctl_json('policy', 'publish', str(policy_file))
    assert r[0]['raised'] == ['%s %d.%d' % (name, major, minor + 1)]
    assert version(stack, name) == [major, minor + 1]
    assert advertised(demo, name) == [major, minor + 1]
    assert version(stack, stack.env['CS_TEMPLATE_MACHINE']) == other
    # The same file again, with its old number: nothing changed since.
    r = stack.ctl_json('policy', 'publish', str(policy_file))
    assert version(stack, name) == [major, minor + 1]


def test_comment_is_no_edit(stack, policy_file):
    name = stack.env['CS_TEMPLATE']
    before = version(stack, name)
    policy_file.write_text(published(stack) + '\n# a comment\n')
    r = stack.ctl_json('policy', 'publish', str(policy_file))
    assert r[0]['raised'] == [] and version(stack, name) == before


def test_reenroll(stack, demo, policy_file):
    name = stack.env['CS_TEMPLATE']
    major = version(stack, name)[0]
    comments = published(stack).count('#')
    stack.ctl('policy', 'reenroll', name)
    assert version(stack, name) == [major + 1, 0]
    assert advertised(demo, name) == [major + 1, 0]
    assert published(stack).count('#') == comments
    assert stack.ctl('policy', 'reenroll', 'NoSuch', ok=None).returncode == 1
    # A certificate says which version it was made by.
    r = demo.enroll(client.make_csr(client.ec_key(), 'v.demo.example', [],
                                    name))
    ext = [e for e in r.certificate.extensions if e.oid.dotted_string ==
           '1.3.6.1.4.1.311.21.7']
    assert client.TemplateInfo.load(ext[0].value.value)['major'].native == \
        major + 1


def test_superseded_templates_are_told(stack, demo, policy_file):
    name = stack.env['CS_TEMPLATE']
    text = published(stack)
    policy_file.write_text(text.replace(
        'template "%s" {' % name,
        'template "%s" {\n\tsupersedes = {"OldWeb"}' % name))
    stack.ctl('policy', 'publish', str(policy_file))
    for p in demo.policies().findall('.//p:policy'):
        if p.findtext('p:attributes/p:commonName', None, NS) == name:
            assert [e.text for e in p.findall(
                './/p:supersededPolicies/p:commonName', NS)] == ['OldWeb']
