"""The part of the blame agent that runs inside the app; this folder is what PYTHONPATH names."""
