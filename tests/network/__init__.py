"""Nodes as processes, on a real chain node, under faults."""
