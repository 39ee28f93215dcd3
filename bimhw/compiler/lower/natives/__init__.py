"""Converters from the neurons of the front ends to a chip's own; adding one is adding one file here."""

from simulator.base.found import import_all as _import_all

_import_all(__name__)
