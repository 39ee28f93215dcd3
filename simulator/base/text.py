"""Text that came from a file or a user, made safe to show: one message, printable, of bounded length."""

from __future__ import annotations

CUT = " ... "


def printable(text: str, most: int = 400) -> str:
    """Return `text` with every control character escaped, cut in its middle to at most `most` characters.

    Line feeds stay, because messages with a list use them. Bytes of a name that are not UTF-8 show as ``\\udcXX``.
    """
    text = _cut(text, most)
    if text.isprintable():
        return text
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
    return _cut(shown, most)  # an escaped character is up to ten


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head = (most - len(CUT)) * 2 // 3
    return text[:head] + CUT + text[len(text) - (most - len(CUT) - head) :]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or the name of its type where it has none."""
    text = str(error).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":  # a KeyError shows its key's repr
        text = text[1:-1]
    lines = text.splitlines()
    return printable(lines[0], 200) if lines and lines[0] else type(error).__name__


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 point`` and ``1,200 points``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
