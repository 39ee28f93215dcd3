"""Names that a program, a chip and a neuron model share."""

from __future__ import annotations

INPUT_MODEL = "input"
"""Model of ids that fire when the input spike train says so."""
