"""Bytes → text, for documents that say one encoding and use another, or are not quite in any.

feedparser would do this too, but tries whatever codec of Python a document names (`unicode_escape` runs escapes, `idna`
takes quadratic time), lets a server's default of us-ascii win over the document's own word, and reads all of a UTF-8
document as windows-1252 for one bad byte.
"""

from __future__ import annotations

import codecs
import re

_DECLARED = re.compile(rb"""^\s{0,1000}<\?xml[^>]{0,300}?encoding\s{0,9}=\s{0,9}["']([A-Za-z0-9._:-]{1,40})["']""")
_CHARSET = re.compile(r"""(?i)charset\s*=\s*["']?([A-Za-z0-9._:-]{1,40})""")
_MARKS = (  # byte-order marks; those of UTF-32 first, since UTF-16's begins theirs
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# An encoding's superset that publishers who name it really use (WHATWG Encoding, section 4.2, where Python has it).
_SUPERSETS = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "euc_jp": "euc_jis_2004",
    "iso2022_jp": "iso2022_jp_2",
    "big5": "big5hkscs",
}
# Names that the web knows and Python does not (WHATWG Encoding, section 4.2, and what feeds were seen to say).
_ALIASES = {
    name: known
    for known, names in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8mb4",
        "cp1252": "ansi latin-1-windows",
        "iso8859-8": "logical visual csiso88598i csiso88598e",
        "iso8859-6": "csiso88596i csiso88596e",
        "koi8-r": "koi koi8 koi8r",
        "koi8-u": "koi8-ru",
        "mac-roman": "mac",
        "mac-cyrillic": "mac-ukrainian",
        "cp932": "windows-31j sjis ms932",
        "gb18030": "gb_2312-80 gb_2312 csgb2312 gb2312-80 csiso58gb231280",
        "cp949": "ks_c_5601-1989 ksc_5601 ksc5601 csksc56011987",
        "big5": "cn-big5",
    }.items()
    for name in names.split()
}
_NUMBERED = re.compile(r"(?:windows|win|cp|dos|ibm)[-_ ]?(\d{3,4})")
_ISO = re.compile(r"iso[-_ ]?8859[-_ ]?(\d{1,2})(?:[-_]?[ei])?(?::\d{4})?")
# utf-7 hides markup from whoever looks at the bytes; the others are Python's, not the web's.
_REFUSED = {"utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
# What servers say of a file they know nothing of.
_DEFAULTS = {"us-ascii", "ascii", "iso-8859-1", "latin1"}
_SEVEN_BIT = ("iso2022", "hz")
# So many bytes of valid UTF-8 outside ASCII do not come about by chance in these encodings, and none in the others.
_SURE = 12
_LIKE_UTF8 = ("gb", "big5", "cp9", "euc", "shift_jis", "johab", "cp866", "cp874")


def decode(body: bytes, content_type: str = "") -> tuple[str, str]:
    """Return a document's text without its byte-order mark, and a sentence on what is odd about its encoding or "".

    `content_type` is the server's header. Never raises; what cannot be read becomes U+FFFD.
    """
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace"), ""
    marked = body.startswith(codecs.BOM_UTF8)  # a program put it there, which may not have looked at what follows
    body = body.removeprefix(codecs.BOM_UTF8)
    if name := _wide(body):
        return body.decode(name, "replace"), ""
    declared = ["utf-8"] if marked else []
    declared += [name for name in _codecs(body, content_type) if name not in declared]
    for name in declared:
        if name.startswith(_SEVEN_BIT):  # ASCII to the eye: must be tried before it
            return body.decode(name, "replace"), ""
    beyond_ascii = len(body) - len(body.translate(None, bytes(range(0x80, 0x100))))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return _other(body, declared, beyond_ascii, marked)
    doubtful = 0 < beyond_ascii < _SURE and declared and declared[0].startswith(_LIKE_UTF8)
    if doubtful and (found := _strict(body, declared[0])):
        return found, ""
    odd = declared and declared[0] != "utf-8" and beyond_ascii > 0
    return text, f"the document says that it is in {declared[0]}, and is in UTF-8" if odd else ""


def _other(body: bytes, declared: list[str], beyond_ascii: int, marked: bool) -> tuple[str, str]:
    bad = body.decode("utf-8", "replace").count("\ufffd")
    mostly = bad * 3 <= beyond_ascii
    for name in declared if not (marked and mostly) else ():
        if name != "utf-8" and (found := _strict(body, name)) is not None:
            return found, "the document's mark says UTF-8, and it is not" if marked else ""
    if mostly:
        return body.decode("utf-8", _PATCH), "the document holds bytes that are not UTF-8"
    if declared and declared[0] != "utf-8":
        return body.decode(declared[0], "replace"), f"the document holds bytes that are not {declared[0]}"
    return body.decode("cp1252", "replace"), "the document's encoding is unknown; it was read as windows-1252"


def _wide(body: bytes) -> str:
    """Return the UTF-16 or UTF-32 of a document without a byte-order mark, told by its first character: `<` or `{`."""
    at = len(body) - len(body.lstrip(b"\x00 \t\r\n"))
    if body[at : at + 1] not in (b"<", b"{"):
        return ""
    # What follows is ASCII too, so zeros stand on both sides of it.
    before, after = body[max(at - 3, 0) : at], body[at + 1 : at + 5]
    if at % 4 == 3 and before == after[:3] == b"\x00\x00\x00":
        return "utf-32-be"
    if at % 4 == 0 and after[:3] == b"\x00\x00\x00":
        return "utf-32-le"
    if at % 2 == 1 and before[-1:] == after[:1] == b"\x00" and after[1:2] != b"\x00":
        return "utf-16-be"
    return "utf-16-le" if at % 2 == 0 and after[:1] == after[2:3] == b"\x00" else ""


def _codecs(body: bytes, content_type: str) -> list[str]:
    """Return the encodings that the server and the document name, as Python calls them, the likelier one first.

    The server's word comes first (RFC 7303, 3.1) unless it is one that servers say of every file.
    """
    said = [match.group(1) for match in [_CHARSET.search(content_type[:500])] if match]
    own = [match.group(1).decode("ascii") for match in [_DECLARED.match(body[:2000])] if match]
    said = own + said if said and said[0].lower() in _DEFAULTS else said + own
    found = []
    for name in said:
        try:
            known = _lookup(name)
            "".encode(known)  # raises for what is no encoding of text (rot13, zip)
        except (LookupError, ValueError):
            continue
        # A document that names UTF-16 in single bytes is not in it.
        if known not in _REFUSED and not known.startswith(("utf-16", "utf-32")):
            found.append(_SUPERSETS.get(known, known))
    return found


def _lookup(name: str) -> str:
    """Return Python's name of an encoding. Raises LookupError."""
    name = re.sub("^(?:x-)+", "", name.lower())
    if number := _NUMBERED.fullmatch(name):
        name = f"cp{number.group(1)}"
    elif part := _ISO.fullmatch(name):
        name = f"iso8859-{part.group(1)}"
    return codecs.lookup(_ALIASES.get(name, name)).name


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except UnicodeDecodeError:
        # windows-1252 leaves five bytes undefined; that is no reason to read Latin letters as something else.
        return body.decode(name, "replace") if name == "cp1252" else None


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Read bytes that are not UTF-8 as windows-1252: quotes and dashes pasted into a UTF-8 document."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_PATCH = "monitor.windows"
codecs.register_error(_PATCH, _as_windows)
