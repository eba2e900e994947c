"""Sessions of several libraries in one small app each; run in `benchmarks/.venv`, with the kit on the path."""
