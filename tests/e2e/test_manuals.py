"""The manuals against the programs and their source, both ways."""
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
OPTION = re.compile(r'(?:^|[\s\[,])-{1,2}([a-z][a-z-]*)')
MACROS = {'Ar', 'Cm', 'Fl', 'Ic', 'Li', 'Ns', 'Oc', 'Oo', 'Op', 'Pq', 'Ql',
          'Qo', 'Qc', 'No', 'Pa'}


def help_text(stack, program, *words):
    r = subprocess.run([stack.bin / program, *words, '--help'],
                       capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, (program, words, r.stderr)
    return r.stdout


def page(name):
    """The source of a manual page, continued lines joined."""
    return (TOP / 'man' / name).read_text().replace('\\\n', ' ')


def section(text, *titles):
    """The parts of a page under these .Sh headings, which must exist."""
    parts = {p.split('\n', 1)[0].replace('\\(dq', '"'): p
             for p in text.split('\n.Sh ')[1:]}
    return '\n'.join(parts[t] for t in titles)


def marked(text, macro):
    """Words that a macro marks: '.Fl -a , -b Ar c' marks -a and -b."""
    found = set()
    for line in text.splitlines():
        on = False
        for word in line[1:].split() if line.startswith('.') else ():
            if word in MACROS:
                on = word == macro
            elif on and re.match(r'-?[a-z]', word):
                found.add(word.lstrip('-'))
    return found


@pytest.fixture(scope='module')
def commands(stack):
    """Command -> options, as the program prints them."""
    found = {}
    for line in help_text(stack, 'countersign').splitlines():
        m = re.match(r'  ([a-z]+(?: [a-z-]+)?)'
                     r'(?=  | [A-Z\[a-z|]*[A-Z\[])', line)
        if m:
            cmd = m.group(1)
            text = help_text(stack, 'countersign', *cmd.split())
            found[cmd] = set(re.findall(r'(?m)^  --?([a-z-]+)', text))
    return found


def items():
    """(commands, text) of each item of countersign(1) about commands.  Heads
    without a text of their own share the next one's."""
    text = page('countersign.1').split('.Sh FILES')[0]
    heads = []
    for part in re.split(r'(?m)^(?=\.It Ic )', text)[1:]:
        head, body = part.split('\n', 1)
        words = head.split()[2:]
        cmd = []
        while words and re.fullmatch('[a-z][a-z-]+', words[0]):
            cmd.append(words.pop(0))
        heads.append((' '.join(cmd), part))
        if body.strip():
            yield [c for c, _ in heads], ''.join(t for _, t in heads)
            heads = []


GLOBAL = {'c', 'json', 'help', 'version'}


def test_there_is_something_to_compare(commands):
    assert len(commands) > 30 and 'request list' in commands
    assert 'limit' in commands['request list']
    assert 'doctor' in commands and len(commands['init']) > 10


def test_every_command_has_an_item_and_every_item_a_command(commands):
    assert {c for cs, _ in items() for c in cs} == set(commands)


def test_commands_have_the_options_of_their_item(commands):
    told = {c: set() for c in commands}
    for cs, text in items():
        options = marked(text, 'Fl')
        known = set().union(*(commands[c] for c in cs)) | GLOBAL
        assert options <= known, (cs, options - known)
        for c in cs:
            told[c] |= options
    missing = {c: o - told[c] for c, o in commands.items() if o - told[c]}
    assert not missing, 'countersign(1) does not have these'


def test_global_options(stack):
    text = help_text(stack, 'countersign').rsplit('\n\n', 2)[1]
    assert set(OPTION.findall(text)) == GLOBAL
    assert GLOBAL <= marked(section(page('countersign.1'), 'DESCRIPTION'),
                            'Fl')


def columns():
    """What --json prints: the names of each table of columns."""
    found = {}
    for f in sorted((TOP / 'cli').glob('*.c')):
        for name, body in re.findall(
                r'(?s)struct out_col\s+(\w+)\[\] = \{(.*?)\n\s*\};',
                f.read_text()):
            found[f.name, name] = frozenset(
                re.findall(r'\{ "(\w+)", OUT_', body))
    return found


def told_columns():
    """Each list of names behind "JSON:", which ends with its sentence, and
    whether it adds to the one before."""
    for part in page('countersign.1').split('\nJSON')[1:]:
        head, *lines = part.splitlines()
        names = []
        for line in lines:
            if line.startswith('.Li'):
                names += re.findall(r'[a-z]\w+', line[3:])
            if line.rstrip('\n').endswith('.'):
                break
        if names:
            yield 'fields above' in head, frozenset(names)


def test_names_in_json():
    """Scripts go by them: the manual and the program have the same ones."""
    tables, told, before = columns(), [], frozenset()
    for more, names in told_columns():
        before = before | names if more else names
        told.append(before)
    assert len(told) > 30
    assert not [sorted(t) for t in told if t not in tables.values()]
    # name and outcome are what commands without rows print
    assert {k for k, v in tables.items() if v not in told} == {
        ('cli.c', 'cols')}


@pytest.mark.parametrize('program', ['countersign-worker',
                                     'countersign-signer'])
def test_options_of_the_daemons(stack, program):
    options = set(OPTION.findall(help_text(stack, program)))
    assert {'c', 't', 'config', 'test', 'help', 'version'} <= options
    text = section(page(program + '.8'), 'SYNOPSIS', 'DESCRIPTION')
    assert marked(text, 'Fl') == options


def tables(path):
    """Array -> options in it, of a file that makes libconfuse's tables."""
    text = (TOP / path).read_text()
    return {name: set(re.findall(r'\b(?:CFG_)?(?:STR|INT|BOOL|STR_LIST|LIST|'
                                 r'SEC|SECTION)\("([^"]+)"', body))
            for name, body in re.findall(r'cfg_opt_t\s+(\w+)\[\] = \{(.*?)\};',
                                         text, flags=re.S)}


@pytest.mark.parametrize('source,manual,heading', [
    ('frontend/wconf.c', 'countersign-worker.8', 'CONFIGURATION'),
    ('signer/sconf.c', 'countersign-signer.8', 'CONFIGURATION'),
    ('cli/cconf.c', 'countersign.1', 'FILES'),
])
def test_configuration(source, manual, heading):
    options = set().union(*tables(source).values())
    assert len(options) > 8
    lines = [x for x in section(page(manual), heading).splitlines()
             if x.startswith('.It ')]
    assert {re.match(r'\.It Cm ([a-z-]+)', x).group(1)
            for x in lines} == options


@pytest.mark.parametrize('arrays,heading', [
    (['top'], 'OPTIONS OF THE FILE'),
    (['ca', 'uri', 'recovery'], 'CA "NAME"'),
    (['trusted'], 'TRUSTED-CA "NAME"'),
    (['agent'], 'AGENT-RULE "NAME"'),
    (['domain'], 'DOMAIN "NAME"'),
    (['rule'], 'NAME-RULE "NAME"'),
    (['template'], 'TEMPLATE "NAME"'),
])
def test_policy(arrays, heading):
    known, text = tables('common/policy_parse.c'), page(
        'countersign-policy.conf.5')
    options = set().union(*(known[a] for a in arrays))
    told = set(re.findall(r'(?m)^\.It Ic ([a-z0-9-]+)',
                          section(text, heading)))
    if arrays == ['top']:
        told |= {t.lower() for t in re.findall(
            r'(?m)^\.Sh ([A-Z-]+) \\\(dqNAME', text)}
    assert told == options


def test_policy_tables_are_all_compared():
    assert set(tables('common/policy_parse.c')) == {
        'top', 'ca', 'uri', 'recovery', 'trusted', 'agent', 'rule', 'domain',
        'template'}


def lines_to_type():
    """Lines of README, docs and manual pages that run the command."""
    for f in [TOP / 'README.md', *(TOP / 'docs').glob('*.md'),
              *(TOP / 'man').glob('*.[158]')]:
        for line in f.read_text().replace('\\e\n', ' ').splitlines():
            m = re.match(r'(?: {4,}countersign|cs) (.*)', line)
            if m:
                yield f.name, m.group(1).split('#')[0]


def test_lines_to_type(commands):
    seen = 0
    for name, line in lines_to_type():
        words = line.replace('--json ', '').split()
        cmd = ' '.join(words[:2])
        cmd = cmd if cmd in commands else words[0]
        assert cmd in commands, (name, line)
        options = set(re.findall(r'(?<=\s)--?([a-z][a-z-]*)', line))
        assert options <= commands[cmd] | GLOBAL, (name, line)
        seen += 1
    assert seen > 20


def test_exports_of_a_domain_ask_for_what_the_import_reads():
    """An attribute that is not asked for is told as if it were not there: who
    is disabled, or expired, would be let in."""
    source = (TOP / 'cli/adaccount.c').read_text()
    tables = re.findall(r'(?s)\b(?:texts|others)\[\] = \{\n(.*?)\n\};', source)
    read = set(re.findall('"(\\w+)"', ''.join(tables)))
    assert 'accountExpires' in read and 'sAMAccountName' in read
    for text in ((TOP / 'docs/operations.md').read_text(),
                 page('countersign.1').replace('\\e\n', '\n')):
        asked = [m.split(',') for m in re.findall('-l "([\\w,]+)"', text)]
        asked += [m.replace('\\', ' ').split() for m in re.findall(
            r"(?s)\(objectCategory=group\)\)'(.*?)>domain.ldf", text)]
        assert len(asked) == 2
        for names in asked:
            assert set(names) == read and len(names) == len(read)


def test_policy_of_the_manual_is_good(stack, tmp_path):
    text = section(page('countersign-policy.conf.5'), 'EXAMPLES')
    literal, = re.findall(r'(?s)\n\.Bd[^\n]*\n(.*?)\n\.Ed', text)
    path = tmp_path / 'policy.conf'
    path.write_text("""policy-name = "Example"
ca "Issuing CA 1" {
	uri "password" { uri = "https://a.example/CES" priority = 1 }
}
""" + literal)
    r = subprocess.run([stack.bin / 'countersign', 'policy', 'check', path],
                       capture_output=True, text=True, timeout=300)
    assert r.returncode == 0 and not r.stdout + r.stderr


def test_the_map_names_every_file():
    """docs/architecture.md: each source file in one row, each name a file."""
    text = (TOP / 'docs/architecture.md').read_text()
    tables = re.split(r'(?m)^\| `(\w+)/` \| \|$', text.split(
        '## Every file')[1])[1:]
    assert tables[::2] == ['common', 'frontend', 'signer', 'cli']
    for folder, table in zip(tables[::2], tables[1::2]):
        files = {f.stem for f in (TOP / folder).glob('*.c')}
        rows = [set(re.findall('`([^`]+)`', r)) for r in table.splitlines()]
        exact = set().union(*rows)
        found = []
        for row in rows:
            for name in row:
                these = {f.stem for f in (TOP / folder).glob(name + '.c')}
                assert these, (folder, name)
                found += these - exact if '*' in name else [name]
        assert sorted(found) == sorted(files), folder


def test_the_path_names_functions_that_exist():
    text = (TOP / 'docs/architecture.md').read_text().split('## Every file')[0]
    source = ''.join(p.read_text() for f, end in (
        ('common', 'ch'), ('frontend', 'ch'), ('signer', 'ch'), ('cli', 'ch'),
        ('sql', ['sql'])) for e in end for p in (TOP / f).glob('*.' + e))
    for name in re.findall('`([a-z]+(?:_[a-z0-9]+)+)`', text):
        assert re.search(r'\b%s\b' % name, source), name


def test_the_path_in_functions():
    """docs/architecture.md: each of them is in the file that it names."""
    text = (TOP / 'docs/architecture.md').read_text()
    found, path = 0, None
    for row in re.findall(r'(?m)^\|.*$', text.split('## In functions')[1].split(
            '\n## ')[0])[2:]:
        where, names = row.split('|')[1:3]
        path = where.strip(' `') or path
        for name in re.findall('`([^`]+)`', names):
            assert re.search(r'(?m)^%s\(' % name, (TOP / path).read_text()), row
            found += 1
    assert found > 20


def test_marks_of_attacks():
    """[security] X10 in a comment is a row of docs/security.md, and back."""
    rows = re.findall(r'(?m)^\| ((?:[A-Z]+\d+)(?:, [A-Z]+\d+)*) \|',
                      (TOP / 'docs/security.md').read_text())
    used = []
    for folder in ('common', 'frontend', 'signer', 'cli', 'sql', 'tests'):
        for f in (TOP / folder).rglob('*'):
            if f.suffix in ('.c', '.h', '.py', '.sql') and f != pathlib.Path(
                    __file__):
                used += re.findall(r'\[security\][\s*]+([A-Z]+\d+'
                                   r'(?:, [A-Z]+\d+)*)', f.read_text())
    split = lambda marks: {m for one in marks for m in one.split(', ')}
    assert split(rows) == split(used)


def test_files_that_are_named_exist():
    """In documents, and in the comments of the source."""
    files = {str(p.relative_to(TOP)) for f in ('common', 'frontend', 'signer',
             'cli', 'sql', 'tests', 'docs', 'deploy', 'nginx', 'web', 'man')
             for p in (TOP / f).rglob('*')}
    names = {f.rsplit('/', 1)[-1] for f in files}
    for f in [TOP / 'README.md', *(TOP / 'docs').glob('*.md'),
              *(p for d in ('common', 'frontend', 'signer', 'cli')
                for p in (TOP / d).glob('*.[ch]'))]:
        text = f.read_text()
        if f.suffix in ('.c', '.h'):
            text = '\n'.join(re.findall(r'(?s)/\*.*?\*/', text))
        for path in re.findall(r'\b((?:common|frontend|signer|cli|sql|docs)/'
                               r'[\w.-]+\.(?:c|h|sql|md))\b', text):
            assert path in files, (f, path)
        for name in re.findall(r'(?<![\w/.])(\w+\.[ch])\b', text):
            assert name in names | {'zmq.h'}, (f, name)
    tests = ''.join(f.read_text() for f in (TOP / 'tests').rglob('*_test.c'))
    tests += ''.join(f.read_text() for f in (TOP / 'tests').rglob('*.py'))
    for f in (TOP / 'docs').glob('*.md'):
        for name in re.findall(r'`(test_\w+)`', f.read_text()):
            assert re.search(r'\b%s\(' % name, tests), (f, name)


def test_installed(stack, tmp_path):
    """What manuals and messages refer to comes along."""
    subprocess.run(['make', '-s', 'install', 'DESTDIR=%s' % tmp_path,
                    'PREFIX=/usr', 'BUILD=%s' % stack.bin], cwd=TOP,
                   check=True, stdout=subprocess.DEVNULL)
    share = tmp_path / 'usr/share'
    assert {p.name for p in (share / 'doc/countersign').iterdir()} == {
        'README.md', *(p.name for p in (TOP / 'docs').iterdir())}
    r = subprocess.run([share / 'countersign/site.sh'], text=True,
                       capture_output=True)
    assert r.returncode == 2 and r.stdout == ''
    assert re.match('site.sh FOLDER PAGE\n', r.stderr)
    assert r.stderr.rstrip().endswith('page')   # of the example
