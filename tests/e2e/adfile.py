"""Accounts of Active Directory in LDIF, as ldapsearch writes it."""
import base64

BASE = 'DC=corp,DC=test'


def sid(rid, domain=(1, 2, 3)):
    parts = [21, *domain, rid]
    return bytes([1, len(parts), 0, 0, 0, 0, 0, 5]) + b''.join(
        p.to_bytes(4, 'little') for p in parts)


def put(name, value):
    """As ldapsearch writes it: base64 where text will not do, folded."""
    if isinstance(value, bytes) or not value.isascii() or value[:1] in ' :<':
        raw = value if isinstance(value, bytes) else value.encode()
        line = '%s:: %s' % (name, base64.b64encode(raw).decode())
    else:
        line = '%s: %s' % (name, value)
    return '\n '.join(line[i:i + 76] for i in range(0, len(line), 76)) + '\n'


def member_of(groups):
    """By CN, in OU=Groups, or by DN."""
    return ''.join(put('memberOf', g if '=' in g else
                       'CN=%s,OU=Groups,%s' % (g, BASE)) for g in groups)


def entry(rid, sam, groups=(), uac=512, classes=('user',), dn=None, **more):
    cn = more.pop('cn', sam.rstrip('$'))
    text = put('dn', dn or 'CN=%s,OU=Staff,%s' % (cn, BASE))
    for c in ('top', 'person', 'organizationalPerson', *classes):
        text += put('objectClass', c)
    text += put('cn', cn) + put('sAMAccountName', sam)
    text += put('userAccountControl', str(uac))
    text += put('objectSid', sid(rid))
    text += put('primaryGroupID', '515' if 'computer' in classes else '513')
    text += member_of(groups)
    for k, v in more.items():
        text += put(k, v)
    return text + '\n'


def computer(rid, name, **more):
    return entry(rid, name.upper() + '$', classes=('user', 'computer'),
                 uac=more.pop('uac', 4096), dNSHostName=name + '.corp.test',
                 dn='CN=%s,CN=Computers,%s' % (name.upper(), BASE), **more)


def group(rid, cn, above=(), type_=-2147483646, folder='OU=Groups'):
    """Global and for security, unless said otherwise ([MS-ADTS] 2.2.12)."""
    return (put('dn', 'CN=%s,%s,%s' % (cn, folder, BASE)) +
            put('objectClass', 'top') + put('objectClass', 'group') +
            put('cn', cn) + put('sAMAccountName', cn) +
            member_of(above) +
            ('' if type_ is None else put('groupType', str(type_))) +
            put('objectSid', sid(rid)) + '\n')
