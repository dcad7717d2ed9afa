"""The `fedproof` command."""
