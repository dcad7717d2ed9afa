"""What nodes are for: each role compares the chain with what should be, and does what is missing (see `nodes.loop`)."""
