"""Docker Swarm: the formation as a stack, deployed and operated by Docker's own commands."""
