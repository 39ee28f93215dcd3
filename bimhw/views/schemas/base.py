"""Base of all documents."""

from __future__ import annotations

from typing import Any

import msgspec

Figure = float | None
"""A number; null where it is unknown. Its key ends in its unit."""
Anything = Any
"""A value of any kind: what holds it says what it is."""
Value = str | int | float | bool | None
"""A setting or a label."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object; a key with a default may be missing."""
