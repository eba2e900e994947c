"""Recording: a proxy in front of the app, and what passed through it as a workload."""
