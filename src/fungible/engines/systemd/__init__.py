"""A formation as units of systemd on one machine, kept as far apart as systemd can."""
