"""Base of all documents."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec

Figure = float | None
"""A number; null where it is unknown. Its key ends in its unit."""
Anything = Any
"""A value of any kind: what holds it says what it is."""
Value = str | int | float | bool | None
"""A setting or a label."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object; a key with a default may be missing."""


def document(name: str, record: type, **more: object) -> type:
    """Return the document of a dataclass or struct: an object of its fields, of those in `more`, and of no others.

    Args:
        name: of the document.
        record: what is printed; a float that it holds may be unknown, which is null.
        more: name -> type of what its JSON form adds.
    """
    kinds = {n: Figure if kind is float else kind for n, kind in get_type_hints(record).items()} | more
    doc = (record.__doc__ or "").partition("\n")[0]
    return msgspec.defstruct(name, list(kinds.items()), bases=(Document,), namespace={"__doc__": doc}, frozen=True)
