"""One process, from spawn to a wiped sandbox: its states, its port, its readiness, its bounds."""
