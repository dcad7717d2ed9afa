"""Proving: constraint systems, lookups, Groth16 with a committed segment, KZG links, keys and transcripts."""
