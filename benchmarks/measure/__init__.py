"""What the benchmarks share: peers, a formation, load, and how a result is written."""
