"""Workloads: read, recorded, bound, rendered."""
