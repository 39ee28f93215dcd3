"""Systems of the literature that the project stands on, one file each: equations, source, what was measured here."""
