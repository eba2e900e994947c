"""The canary: a tiny server with two known leaks, a counter and a stale cache. Standard library, Python 3.9."""

import http.server
import os

STORE = os.path.join(os.environ["CANARY_STORE"], "value")
counter = 0
cache: "dict[str, str]" = {}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        global counter
        counter += 1
        if "value" not in cache:
            with open(STORE) as file:
                cache["value"] = file.read()
        self.reply(f'{{"counter": {counter}, "value": "{cache["value"]}"}}')

    def do_POST(self) -> None:
        with open(STORE, "w") as file:
            file.write("new")
        cache.clear()
        self.reply('{"saved": true}')

    def reply(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
