"""Grand Challenge's invoke method: ``GET /health`` and ``POST /invoke`` on port 4743. The model is loaded once."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from model import load, predict

ROOT = Path(os.environ.get("TEST_ROOT", "/"))
MODEL = load()


def answer_case():
    """Read the one image set below /input, write /output/answer.json."""
    inputs = json.loads((ROOT / "input/inputs.json").read_text())
    (image,) = (item for item in inputs if item["socket"]["slug"] == "medical-image")
    folder = ROOT / "input" / image["socket"]["relative_path"]
    answer = predict(MODEL, sorted(str(path) for path in folder.iterdir()))
    (ROOT / "output/answer.json").write_text(json.dumps(answer))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404)

    def do_POST(self):
        try:
            answer_case()
        except Exception as error:
            self.log_error("%r", error)
            self.answer(500)
        else:
            self.answer(201)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("0.0.0.0", int(os.environ.get("TEST_PORT", "4743"))), Handler).serve_forever()
