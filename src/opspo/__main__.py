"""`python -m opspo` is the command `opspo`."""

from opspo.cli import main

main()
