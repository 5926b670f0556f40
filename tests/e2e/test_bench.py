"""What "make bench" writes: each ratio can be computed again."""
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'bench'))
import bench  # noqa: E402


def rows(path):
    return [json.loads(x) for x in path.read_text().splitlines()]


def test_a_case_twice_has_two_names(tmp_path):
    path = tmp_path / 'results.json'
    results = bench.Results(path)
    first = results.put({'case': 'enroll', 'per_second': 100})
    again = results.put({'case': 'enroll', 'per_second': 50})
    many = results.put({'case': 'many', 'per_second': 40})
    assert [first['case'], again['case']] == ['enroll', 'enroll-2']
    results.ratio('many over one', many['per_second'] / again['per_second'],
                  0.9, [many['case'], again['case']])
    assert results.missed == ['many over one']
    names = [r['case'] for r in rows(path)]
    assert names == ['enroll', 'enroll-2', 'many', 'ratio']
    ratio = rows(path)[-1]
    a, b = (next(r for r in rows(path) if r['case'] == c)
            for c in ratio['from'])
    assert ratio['value'] == a['per_second'] / b['per_second'] == 0.8
    assert (ratio['name'], ratio['line']) == ('many over one', 0.9)
    with pytest.raises(AssertionError):
        results.ratio('of nothing', 1, 1, ['nobody'])


def test_what_is_measured_anew_has_no_old_ratio(tmp_path):
    """As bench-peers after bench: the same file."""
    path = tmp_path / 'results.json'
    old = bench.Results(path)
    for name in ('enroll-c16', 'enroll-c64'):
        old.put({'case': name, 'per_second': 100})
        old.ratio(name, 1, 1, [name])
    new = bench.Results(path, keep=True)
    new.put({'case': 'enroll-c16', 'per_second': 10})
    new.ratio('other', 1, 1, ['enroll-c16'])
    assert [(r['case'], r.get('name'), r.get('per_second'))
            for r in rows(path)] == [
        ('enroll-c64', None, 100), ('ratio', 'enroll-c64', None),
        ('enroll-c16', None, 10), ('ratio', 'other', None)]
