"""One request or one job: what it memoises, what it leaves behind, and where it ends."""
