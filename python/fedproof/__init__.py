"""fedproof: federated learning you can verify."""

__version__ = "0.1.0"
