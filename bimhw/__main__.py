"""`python -m bimhw`."""

from bimhw.cli.main import main

main()
