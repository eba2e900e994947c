"""What processes run on: folders, the lock, the isolation level, backing services, a release."""
