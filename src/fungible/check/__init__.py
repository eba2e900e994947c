"""Static rules: the mistakes that verify finds by experiment, found in source, settings and manifests."""
