"""Logs as an event stream, and what people see of it."""
