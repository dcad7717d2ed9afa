"""Fuzzing of everything that reads bytes of others; see README.md beside this."""
