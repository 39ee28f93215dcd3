"""Numbers as text: one format for terminal tables, Markdown and HTML."""

from __future__ import annotations


def format_number(value: object) -> str:
    """Format a value: four significant digits for floats, thousands separators for integers, ``unknown`` for None."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
