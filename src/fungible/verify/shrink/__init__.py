"""Cases, made small."""
