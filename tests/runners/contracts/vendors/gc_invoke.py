"""The same algorithm as a server: ``GET /health`` and ``POST /invoke`` on port 4743.

``gc_mha_invoke.py`` serves its own algorithm in the same way.
"""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH208

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gc_exec

SEEN = []


class Handler(BaseHTTPRequestHandler):
    run = staticmethod(gc_exec.run)

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def do_POST(self):
        try:
            SEEN.append(sorted(os.listdir("/output")))
            assert SEEN[-1] == []
            self.run()
        except SystemExit:
            os._exit(3)
        except Exception as error:
            print(repr(error), file=sys.stderr)
            self.send_response(500)
        else:
            self.send_response(201)
        self.end_headers()


def serve():
    ThreadingHTTPServer(("0.0.0.0", 4743), Handler).serve_forever()


if __name__ == "__main__":
    serve()
