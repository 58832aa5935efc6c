"""What the six assets share: the run of a stage, its end, its lease, the I/O manager, the resource."""
