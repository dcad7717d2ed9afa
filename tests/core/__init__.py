"""Tests of the Rust core, against Python integers, py_ecc and published vectors."""
