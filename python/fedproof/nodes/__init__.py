"""Roles: thin state machines over ledger and storage. What must be remembered is saved before it is acted on."""
