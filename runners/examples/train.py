"""Train an example vendor on a development folder, on the host: ``train.py VENDOR FOLDER LABEL WEIGHTS.npz``.

FOLDER is what the institution gives out: one folder a case below ``cases/``, and ``reference.csv`` with the
columns ``case``, ``patient`` and LABEL (0, 1 or empty). A plain folder of DICOM files will do as well, when the
table names them in a column ``file`` or ``sop_instance_uid``. One JSON object with the out-of-fold result is
printed; with ``--progress``, lines ``done/total`` go to standard error.
"""

import csv
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def development(folder, label):
    """Paths, labels and patients of the labelled images, in a fixed order."""
    import pydicom

    images = folder / "dicom" if (folder / "dicom").is_dir() else folder
    with (folder / "reference.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row[label] in ("0", "1")]
    if (folder / "cases").is_dir():
        files = [
            (path, row) for row in rows for path in sorted((folder / "cases" / row["case"]).glob("*.dcm"))
        ]
        found = [(str(path), int(row[label]), row["patient"]) for path, row in files]
        return separated(found, folder, label)
    by_uid = {row["sop_instance_uid"]: int(row[label]) for row in rows if row.get("sop_instance_uid")}
    by_file = {row["file"]: int(row[label]) for row in rows if row.get("file")}
    found = []
    for path in sorted(images.rglob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "PatientID"])
        name = path.relative_to(images).as_posix()
        value = by_uid.get(str(header.SOPInstanceUID), by_file.get(name, by_file.get(path.name)))
        if value is not None:
            found.append((str(path), value, str(header.get("PatientID", path))))
    return separated(found, folder, label)


def separated(found, folder, label):
    """Columns of (path, label, patient)."""
    import numpy as np

    if len({value for _, value, _ in found}) < 2:
        sys.exit(f"{folder}: no images with both values of {label!r}; see reference.csv")
    paths, labels, patients = zip(*found, strict=True)
    return paths, np.array(labels), np.array(patients)


def main(vendor, folder, label, weights):
    """Train and write the weights, whole or not at all."""
    import numpy as np

    sys.path[:0] = [str(HERE / vendor), str(HERE)]
    from logistic import area_under_roc
    from train_vendor import train

    paths, labels, patients = development(Path(folder), label)
    done = 0

    def progress():
        nonlocal done
        done += 1
        if "--progress" in sys.argv and (done % 25 == 0 or done == len(paths)):
            print(f"{done}/{len(paths)}", file=sys.stderr, flush=True)

    model, held_out = train(paths, labels, patients, progress)
    partial = Path(f"{weights}.partial.npz")
    np.savez(partial, **model)
    partial.replace(weights)
    judged = ~np.isnan(held_out)
    area = area_under_roc(labels[judged], held_out[judged])
    print(json.dumps({"images": len(paths), "used": int(judged.sum()), "out_of_fold_auroc": round(area, 4)}))


if __name__ == "__main__":
    main(*[argument for argument in sys.argv[1:] if argument != "--progress"])
