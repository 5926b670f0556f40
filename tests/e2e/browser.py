"""What a browser makes of a page."""
import re
import shutil
import subprocess

import pytest


def look(folder, text, width, value):
    """A page as chromium lays it out so wide, told by an expression of
    JavaScript."""
    if shutil.which('chromium') is None:
        pytest.skip('no chromium')
    assert '</body>' in text
    (folder / 'page.html').write_text(text.replace(
        '</body>', '<script>document.title = "said " + (%s)</script></body>' %
        value))
    dom = subprocess.run(
        ['chromium', '--headless=new', '--no-sandbox', '--disable-gpu',
         '--user-data-dir=%s' % (folder / 'chromium'),
         '--window-size=%d,1000' % width, '--dump-dom',
         'file://%s' % (folder / 'page.html')], check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600).stdout
    return re.search('<title>said ([^<]*)<', dom)[1]


def on_paper(style):
    """The rules for paper, for the screen."""
    assert '@media print' in style
    return style.replace('@media print', '@media all')
