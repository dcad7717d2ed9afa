"""Training of every model as one statement: `statement.py` puts the parts of `docs/training.md` together."""
