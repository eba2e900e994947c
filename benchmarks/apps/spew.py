"""Writes LINES lines of 80 characters as fast as it can, then lives on."""

import os
import sys
import time

LINES = int(os.environ["LINES"])
for number in range(LINES):
    sys.stdout.write(f"{number:07d} " + "x" * 71 + "\n")
sys.stdout.write("the-last-line\n")
sys.stdout.flush()
time.sleep(3600)
