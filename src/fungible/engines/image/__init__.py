"""An image of what runs here: the build, the environment and the libraries of its processes, nothing else."""
