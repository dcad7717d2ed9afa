"""The four statements of the protocol, one file each: eligibility, listing, training, aggregation."""
