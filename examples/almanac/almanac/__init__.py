"""Almanac: add data sets by URL, see what is in them. Web, worker and clock keep nothing between requests."""
