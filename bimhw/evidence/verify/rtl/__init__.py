"""Recorded runs of published hardware descriptions, replayed by the chip models: bits and cycles off, case by case."""
