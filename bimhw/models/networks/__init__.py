"""Networks that everyone knows, made from published numbers."""

from bimhw.models.networks.microcircuit import potjans_diesmann as potjans_diesmann
from bimhw.models.networks.microcircuit import rates_hz as rates_hz
