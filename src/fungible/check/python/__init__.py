"""Rules over Python source: read by `ast`, never imported."""
