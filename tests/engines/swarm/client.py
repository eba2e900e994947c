"""A load on a URL until stdin ends; prints what became of the requests as JSON."""

from __future__ import annotations

import json
import sys

from tests.runtime.load import load_on

with load_on(sys.argv[1], fresh=2, kept=2) as load:
    load.wait_for_more(1)
    print("up", flush=True)
    sys.stdin.read()
    load.wait_for_more(50)  # of whoever serves now
print(
    json.dumps(
        {"answered": load.count.answered, "lost": load.count.lost, "by": load.count.by, "kinds": load.count.kinds}
    )
)
