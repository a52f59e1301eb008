"""The oracle as a Grand Challenge algorithm (invoke) that reads .mha images with a small reader of its own."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TABLE = json.loads(Path(__file__).with_name("table.json").read_text())


def answer_case():
    inputs = {item["socket"]["slug"]: item for item in json.loads(Path("/input/inputs.json").read_text())}
    (path,) = Path("/input", inputs["chest-x-ray"]["interface"]["relative_path"]).iterdir()
    assert path.name == f"{inputs['chest-x-ray']['image']['pk']}.mha"
    clinical = json.loads(Path("/input/clinical-information.json").read_text())
    assert clinical == inputs["clinical-information"]["value"]
    assert clinical["sex"] in ("M", "F"), clinical
    # The protocol does not show the manufacturer, so no container learns it.
    assert clinical["manufacturer"] is None
    header, _, pixels = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    fields = dict(line.split(" = ") for line in header.decode("ascii").splitlines())
    columns, rows = map(int, fields["DimSize"].split())
    assert len(pixels) == columns * rows * {"MET_UCHAR": 1, "MET_USHORT": 2}[fields["ElementType"]]
    assert all(float(step) > 0 for step in fields["ElementSpacing"].split())
    score = TABLE["scores"].get(hashlib.sha256(pixels).hexdigest(), 0.5)
    Path("/output/result.json").write_text(json.dumps({"likelihood": {"score": score}, "version": "1"}))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200)

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


HTTPServer(("0.0.0.0", 4743), Handler).serve_forever()
