"""Who held the state."""
