"""A formation as objects of Kubernetes, each with what Factor VI asks of it written out."""
