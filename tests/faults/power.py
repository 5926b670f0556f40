"""A power cut: of what shim.c wrote down, everything or a part is taken back.

What a program has written and not synced may be on the disk or not.  Of a
file that grew a beginning of what was added stays; of pages that were
overwritten any that chance picks.  Names, and that a file was made shorter,
count as durable at once: what a missing fsync of a folder loses is not seen.
"""
import os
import pathlib
import struct

HEAD = struct.Struct('<qqq')
PAGE = 4096


def records(path):
    """(offset, octets before, size before) in the order of the writes."""
    text, at = path.read_bytes(), 0
    while at < len(text):
        where, n, size = HEAD.unpack_from(text, at)
        at += HEAD.size
        yield where, text[at:at + n], size
        at += n


def take_back(path, log, r):
    """Returns how many writes were not on the disk."""
    writes = list(records(log))
    if not writes:
        return 0
    durable = min(size for _, _, size in writes)
    everything = r.random() < 0.5
    with open(path, 'r+b') as f:
        size = os.fstat(f.fileno()).st_size
        lost = {}               # page -> bool
        for at, old, _ in reversed(writes):
            for i in range(0, len(old), PAGE):
                if lost.setdefault((at + i) // PAGE,
                                   everything or r.random() < 0.5):
                    f.seek(at + i)
                    f.write(old[i:i + PAGE])
        if size > durable:
            f.truncate(durable if everything else
                       r.randint(durable, size))
    return len(writes)


def cut(folder, undo, r):
    """All programs that wrote below folder are dead."""
    names = {p.stat().st_ino: p for p in pathlib.Path(folder).rglob('*')
             if p.is_file() and not p.is_symlink()}
    n = 0
    for log in pathlib.Path(undo).iterdir():
        if int(log.name) in names:
            n += take_back(names[int(log.name)], log, r)
        log.unlink()
    return n


def forget(undo):
    for log in pathlib.Path(undo).iterdir():
        log.unlink()
