"""Rules of a chip file beyond its schema: one small function a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.chip import Chip


def check_chip(chip: Chip, where: str) -> None:
    """Raise `InputError` where a chip breaks a rule."""
