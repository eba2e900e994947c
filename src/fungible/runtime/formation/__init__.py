"""The formation as it is wanted and as it stands: plan, life cycle, who may be chosen."""
