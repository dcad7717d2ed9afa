"""`python -m fedproof`: the `fedproof` command of exactly this interpreter."""

from fedproof.cli.main import main

main()
