"""What runs inside the app's interpreter: plain standard library, Python 3.9 and later, loaded by path."""
