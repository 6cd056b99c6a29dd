"""http/disposition.py: file names as clients of all ages write them."""

from __future__ import annotations

import pytest

from flask_gridfs_pymongo.http.disposition import filename_of


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ('filename="a.txt"', "a.txt"),
        ("filename=a.txt", "a.txt"),
        ('filename="a b;c=d.txt"', "a b;c=d.txt"),
        ('filename="na\u00efve \u65e5\u672c.txt"', "na\u00efve \u65e5\u672c.txt"),
        # Quotes: escaped by RFC 9110, or as HTML has it
        (r'filename="say \"hi\".txt"', 'say "hi".txt'),
        ('filename="say %22hi%22.txt"', 'say "hi".txt'),
        ('filename="100%25.txt"', "100%25.txt"),
        # Paths of old browsers
        (r'filename="C:\docs\new\a.txt"', r"C:\docs\new\a.txt"),
        (r'filename="\\server\share\a.txt"', r"\\server\share\a.txt"),
        (r'filename="C:\\docs\\a.txt"', r"C:\docs\a.txt"),
        (r"filename=C:\docs\a.txt", r"C:\docs\a.txt"),
        # filename* counts more, wherever it stands
        ("filename*=UTF-8''%e2%82%ac.txt; filename=\"EUR.txt\"", "\u20ac.txt"),
        ("filename=\"EUR.txt\"; filename*=utf-8'en'%E2%82%AC.txt", "\u20ac.txt"),
        ("filename*=iso-8859-1''%e9.txt; filename=e.txt", "\u00e9.txt"),
        ("filename*=utf-8''%ff.txt; filename=\"e.txt\"", "e.txt"),
        ("filename*=utf-16''%00.txt; filename=\"e.txt\"", "e.txt"),
        ('filename*=broken; filename="e.txt"', "e.txt"),
        # Encoded words
        ('filename="=?utf-8?B?w6kudHh0?="', "\u00e9.txt"),
        ('filename="=?UTF-8?Q?=C3=A9_x.txt?="', "\u00e9 x.txt"),
        ('filename="=?iso-8859-1?q?=E9.txt?="', "\u00e9.txt"),
        ('filename="=?utf-8?B?w6k=?= =?utf-8?B?LnR4dA==?="', "\u00e9.txt"),
        ('filename="=?no-such?B?w6k=?="', "=?no-such?B?w6k=?="),
        ('filename="=?utf-8?B?broken?="', "=?utf-8?B?broken?="),
        ('filename="a =?utf-8?B?w6k=?="', "a =?utf-8?B?w6k=?="),
        # No name of a file
        ('name="file; filename=evil.txt"', None),
        ('name="x"', None),
        ("", None),
    ],
)
def test_the_name(parameters: str, expected: str | None) -> None:
    assert filename_of(f'form-data; name="file"; {parameters}') == expected
    assert filename_of(f"form-data; {parameters}") == expected
    assert filename_of(f"form-data; {parameters}", "other") == ("other" if expected is None else expected)
