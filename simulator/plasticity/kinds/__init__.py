"""Forms of the gradient on a chip, found by folder; each file registers its own."""
