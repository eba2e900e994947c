"""Asks the router over one connection: `client.py N PATH` prints N answers, a line each; N = 0 asks until its
standard input ends, and prints how many answers came and which did not."""

import http.client
import json
import sys
import threading


def ask(connection, path):
    """One answer."""
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise http.client.HTTPException(answer.status)
    return body.decode()


number, path = int(sys.argv[1]), sys.argv[2]
connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20)
for _ in range(number):
    print(ask(connection, path))
if number == 0:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    answered, lost = 0, []
    print("asking", flush=True)
    while not ended.wait(0.005):
        try:
            ask(connection, path)
            answered += 1
        except (OSError, http.client.HTTPException) as error:
            lost.append(repr(error))
            connection.close()
    print(json.dumps([answered, lost]))
