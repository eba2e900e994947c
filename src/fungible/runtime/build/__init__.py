"""The build stage as the run stage drives it, and the proof by booting that nothing is left to compile."""
