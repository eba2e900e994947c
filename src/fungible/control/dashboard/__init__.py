"""The dashboard: a page in `page/`, and the gateway that serves it and lets it ask the API of a formation."""
