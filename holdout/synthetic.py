"""SYNTHETIC chest radiographs with planted truths: a data set whose right answers are known beforehand.

No patient stands behind it. It is called SYNTHETIC in its descriptions, Manufacturer and README.md. What is
planted (``PLANTED`` holds the same numbers for the tests, and planted.csv is written beside the data):

* label ``opacity`` (image level): a soft blob of 5 to 9 pixels (sigma) and 220 to 560 grey levels in a lung
  field, over texture and noise; prevalence 0.15 below 40 years, 0.30 from 40 to 59, 0.50 from 60 on;
* two sites: North (0.5 of the patients) images 0.75 of them on scanner A, South 0.40;
* scanner shift: 'Synthetic B' has 0.65 of A's contrast, 1.6 times its noise, raw values 350 higher, and
  stores 0.25 of its images as MONOCHROME1 (inverted, as the standard allows);
* shortcut: at North alone a bright token of 6 x 6 pixels stands in the upper left corner of 0.85 of the
  positive and 0.10 of the negative images;
* sex has no effect; 1 to 3 images a patient, whose labels agree more than chance (a later image repeats
  the patient's first label with probability 0.8);
* truth by consensus (0.7) or follow-up (0.3), whatever the label.

Pixels are 12-bit unsigned in 16, 128 x 128, 2.8 mm apart.
"""

from __future__ import annotations

import csv
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdout.dicom_writer import ImageDescription, NativePixels, age_string, write_image
from holdout.errors import HoldoutError
from holdout.import_tables import declare_reference, declare_site, write_csv
from holdout.new_folder import new_folder
from holdout.uids import content_uid

SIDE = 128
SPACING = 2.8
BATCH = 64
AGE_BANDS = ((18, 40, 0.15), (40, 60, 0.30), (60, 91, 0.50))
"""From, below (years), prevalence of ``opacity``."""
CONTRAST = {"A": 1.0, "B": 0.65}
NOISE = {"A": 60.0, "B": 96.0}
RAW_OFFSET = {"A": 0.0, "B": 350.0}
MONOCHROME1_RATE = {"A": 0.0, "B": 0.25}
SCANNER_A_RATE = {"North": 0.75, "South": 0.40}
MARKER_RATE = {("North", 1): 0.85, ("North", 0): 0.10, ("South", 1): 0.0, ("South", 0): 0.0}
SAME_LABEL = 0.8
CONSENSUS_RATE = 0.7
MARKER_CORNER = (4, 4)
MARKER_SIDE = 6

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A truth that the generator planted: the value of ``quantity`` among the images of ``level``."""

    quantity: str
    level: str
    value: float


PLANTED: tuple[Planted, ...] = (
    *(Planted(quantity="prevalence by age", level=f"{a}-{b - 1}", value=p) for a, b, p in AGE_BANDS),
    *(Planted(quantity="scanner A by site", level=s, value=p) for s, p in SCANNER_A_RATE.items()),
    *(Planted(quantity="contrast by scanner", level=s, value=c) for s, c in CONTRAST.items()),
    *(Planted(quantity="noise by scanner", level=s, value=n) for s, n in NOISE.items()),
    *(Planted(quantity="MONOCHROME1 by scanner", level=s, value=p) for s, p in MONOCHROME1_RATE.items()),
    *(
        Planted(quantity="marker by site and label", level=f"{site} {label}", value=p)
        for (site, label), p in MARKER_RATE.items()
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSummary:
    """What was made."""

    destination: Path
    patients: int
    images: int
    positives: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Design:
    """One row an image; ``patient`` counts from 0, ``visit`` within the patient."""

    patient: NDArray[np.int64]
    visit: NDArray[np.int64]
    age: NDArray[np.float64]
    sex: NDArray[np.str_]
    site: NDArray[np.str_]
    scanner: NDArray[np.str_]
    view: NDArray[np.str_]
    label: NDArray[np.int64]
    marker: NDArray[np.bool_]
    inverted: NDArray[np.bool_]
    method: NDArray[np.str_]
    day: NDArray[np.int64]


def generate(
    destination: Path,
    *,
    patients: int = 400,
    seed: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> SyntheticSummary:
    """Write the SYNTHETIC data set: dicom/, the tables an import writes, planted.csv and README.md.

    The same ``patients`` and ``seed`` give the same bytes.

    Raises:
        HoldoutError: the destination exists already, or there are fewer than 10 patients.
    """
    started = time.monotonic()
    if destination.exists():
        raise HoldoutError(f"{destination}: exists already; choose a folder that does not")
    if patients < 10:
        raise HoldoutError(f"{patients} patients cannot show what is planted; at least 10 are needed")
    with new_folder(destination) as building:
        design = _design(patients, np.random.default_rng([seed, 1]))
        rows = []
        total = len(design.patient)
        for row, content in _images(design, seed):
            path = building / "dicom" / row["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            rows.append(row)
            if progress is not None:
                progress(len(rows), total)
        _write_tables(building, rows, patients, seed)
    return SyntheticSummary(
        destination=destination,
        patients=patients,
        images=total,
        positives=int(design.label.sum()),
        seconds=time.monotonic() - started,
    )


def _design(patients: int, random: np.random.Generator) -> _Design:
    images = random.choice([1, 2, 3], size=patients, p=[0.35, 0.40, 0.25])
    patient = np.repeat(np.arange(patients), images)
    total = len(patient)
    visit = np.arange(total) - np.repeat(np.cumsum(images) - images, images)
    age = random.integers(18, 91, size=patients).astype(np.float64)[patient]
    site = np.where(random.random(patients) < 0.5, "North", "South")[patient]
    prevalence = np.select([age < below for _, below, _ in AGE_BANDS], [p for _, _, p in AGE_BANDS])
    first = (random.random(patients) < prevalence[visit == 0]).astype(np.int64)[patient]
    fresh = (random.random(total) < prevalence).astype(np.int64)
    label = np.where((visit == 0) | (random.random(total) < SAME_LABEL), first, fresh)
    rate_a = np.where(site == "North", SCANNER_A_RATE["North"], SCANNER_A_RATE["South"])
    scanner = np.where(random.random(total) < rate_a, "A", "B")
    marker_rate = np.zeros(total)
    for (where, value), rate in MARKER_RATE.items():
        marker_rate[(site == where) & (label == value)] = rate
    return _Design(
        patient=patient,
        visit=visit,
        age=age,
        sex=np.where(random.random(patients) < 0.5, "F", "M")[patient],
        site=site,
        scanner=scanner,
        view=np.where(random.random(total) < 0.7, "PA", "AP"),
        label=label,
        marker=random.random(total) < marker_rate,
        inverted=random.random(total) < np.where(scanner == "B", MONOCHROME1_RATE["B"], 0.0),
        method=np.where(random.random(total) < CONSENSUS_RATE, "consensus", "follow-up"),
        day=random.integers(0, 700, size=patients)[patient] + visit * 37,
    )


def _images(design: _Design, seed: int) -> Iterator[tuple[dict[str, str], bytes]]:
    for start in range(0, len(design.patient), BATCH):
        chosen = np.arange(start, min(start + BATCH, len(design.patient)))
        # A stream of its own for each batch: the bytes of an image do not depend on how many precede it.
        pixels = _render(design, chosen, np.random.default_rng([seed, 2, start]))
        for position, array in zip(chosen.tolist(), pixels, strict=True):
            yield _one(design, position, array, seed)


def _render(design: _Design, chosen: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.uint16]:
    """Pixels of the chosen images, (n, 128, 128) uint16 of 12 bits, as stored (inverted for MONOCHROME1)."""
    count = len(chosen)
    row, column = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)[:, None]

    def each(low: float, high: float) -> NDArray[np.float64]:
        return random.uniform(low, high, size=(count, 1, 1))

    def ellipse(y: FloatArray, x: FloatArray, height: FloatArray, width: FloatArray) -> FloatArray:
        inside = 1.0 - ((row - y) / height) ** 2 - ((column - x) / width) ** 2
        smooth: FloatArray = 1.0 / (1.0 + np.exp(-8.0 * inside))
        return smooth

    centre = each(60, 68)
    lung_y, lung_height, lung_width = each(58, 66), each(36, 44), each(17, 21)
    offset = each(25, 29)
    lungs = ellipse(lung_y, centre - offset, lung_height, lung_width)
    lungs = np.maximum(lungs, ellipse(lung_y, centre + offset, lung_height, lung_width))
    wide = np.where(design.view[chosen] == "AP", 1.25, 1.0)[:, None, None]
    heart = ellipse(each(82, 90), centre + each(5, 9), each(18, 23), wide * each(13, 17))
    body = ellipse(each(66, 74), centre, each(74, 84), each(54, 60))
    ribs = lungs * np.sin((row - 0.0025 * (column - centre) ** 2) * each(0.48, 0.56) + each(0, 6.28))
    coarse = random.normal(size=(count, SIDE // 8, SIDE // 8))
    texture = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)
    texture = (texture + np.roll(texture, 4, axis=1) + np.roll(texture, 4, axis=2)) / 3.0

    side = np.where(random.random((count, 1, 1)) < 0.5, -1.0, 1.0)
    blob_y = lung_y + each(-0.55, 0.55) * lung_height
    blob_x = centre + side * (offset + each(-0.35, 0.35) * lung_width)
    sigma = each(5, 9)
    blob = np.exp(-((row - blob_y) ** 2 + (column - blob_x) ** 2) / (2 * sigma**2))
    opacity = design.label[chosen][:, None, None] * each(220, 560) * blob

    signal = 500 + 1300 * body - 900 * lungs + 500 * heart * body + 55 * ribs + 45 * texture + opacity
    contrast = np.where(design.scanner[chosen] == "B", CONTRAST["B"], CONTRAST["A"])[:, None, None]
    noise = np.where(design.scanner[chosen] == "B", NOISE["B"], NOISE["A"])[:, None, None]
    raised = np.where(design.scanner[chosen] == "B", RAW_OFFSET["B"], RAW_OFFSET["A"])[:, None, None]
    values = raised + contrast * signal + noise * random.normal(size=(count, SIDE, SIDE))
    top, left = MARKER_CORNER
    marked = design.marker[chosen]
    values[marked, top : top + MARKER_SIDE, left : left + MARKER_SIDE] = 3900
    stored: NDArray[np.uint16] = np.clip(np.rint(values), 0, 4095).astype(np.uint16)
    inverted = design.inverted[chosen]
    stored[inverted] = 4095 - stored[inverted]
    return stored


def _one(
    design: _Design, position: int, pixels: NDArray[np.uint16], seed: int
) -> tuple[dict[str, str], bytes]:
    patient = f"SYNTHETIC-{int(design.patient[position]):05d}"
    visit = int(design.visit[position])
    scanner, site = str(design.scanner[position]), str(design.site[position])
    inverted = bool(design.inverted[position])
    study = content_uid("proctor synthetic", str(seed), patient, str(visit))
    date = datetime.date(2022, 1, 1) + datetime.timedelta(days=int(design.day[position]))
    centre, width = (1200.0, 2400.0) if scanner == "A" else (1130.0, 1700.0)
    description = ImageDescription(
        kind="DX",
        sop_instance_uid=content_uid(study, "instance"),
        study_instance_uid=study,
        series_instance_uid=content_uid(study, "series"),
        patient_id=patient,
        patient_name=f"SYNTHETIC^{patient}",
        patient_sex=str(design.sex[position]),
        patient_age=age_string(float(design.age[position])),
        study_date=date.strftime("%Y%m%d"),
        study_description="SYNTHETIC chest radiograph",
        series_description=f"SYNTHETIC {design.view[position]}",
        accession_number=f"SYN{int(design.patient[position]):05d}{visit}",
        body_part="CHEST",
        view=str(design.view[position]),
        laterality="U",
        institution=f"SYNTHETIC Site {site}",
        manufacturer=f"Synthetic {scanner}",
        model=f"Synthetic {scanner} 1",
        software="1.0" if scanner == "A" else "2.3",
        pixel_spacing=(SPACING, SPACING),
        window=(4095 - centre if inverted else centre, width),
        extra=(("PhotometricInterpretation", "MONOCHROME1"), ("PresentationLUTShape", "INVERSE"))
        if inverted
        else (),
    )
    name = content_uid("file", description.sop_instance_uid)[-16:]
    row = {
        "file": f"{name[:2]}/{name}.dcm",
        "sop_instance_uid": description.sop_instance_uid,
        "series_instance_uid": description.series_instance_uid,
        "study_instance_uid": study,
        "patient_id": patient,
        "patient_age": description.patient_age,
        "patient_sex": description.patient_sex,
        "view_position": description.view,
        "study_date": description.study_date,
        "institution_name": description.institution,
        "manufacturer": description.manufacturer,
        "opacity": str(int(design.label[position])),
        "method": str(design.method[position]),
        "site": site,
        "marker": "yes" if design.marker[position] else "no",
    }
    return row, write_image(description, NativePixels(array=pixels, bits_stored=12))


def _write_tables(building: Path, rows: list[dict[str, str]], patients: int, seed: int) -> None:
    acquisition = [
        "file",
        "sop_instance_uid",
        "series_instance_uid",
        "study_instance_uid",
        "patient_id",
        "patient_age",
        "patient_sex",
        "view_position",
        "study_date",
        "institution_name",
        "manufacturer",
    ]
    write_csv(building / "acquisition.csv", [{key: row[key] for key in acquisition} for row in rows])
    people = {row["patient_id"]: row for row in rows}
    keys = ("patient_id", "patient_sex", "patient_age", "institution_name")
    write_csv(building / "patients.csv", [{key: row[key] for key in keys} for row in people.values()])
    reference = [
        {key: row[key] for key in ("sop_instance_uid", "opacity", "method")}
        | {"readers": "SYNTHETIC generator", "date": ""}
        for row in rows
    ]
    write_csv(building / "reference.csv", reference)
    declare_reference(building / "reference.yaml", ["opacity"], "SYNTHETIC radiographs, opacity")
    write_csv(
        building / "site.csv",
        [{key: row[key] for key in ("sop_instance_uid", "site", "marker")} for row in rows],
    )
    declare_site(building / "site.yaml", ["site", "marker"])
    with (building / "planted.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["quantity", "level", "value"])
        writer.writerows([truth.quantity, truth.level, truth.value] for truth in PLANTED)
    planted = (__doc__ or "").split("\n", 2)[2]
    (building / "README.md").write_text(
        f"# SYNTHETIC chest radiographs\n\nMade by Proctor's generator: {patients} patients, "
        f"{len(rows)} images, seed {seed}.\n\n{planted}",
        encoding="utf-8",
    )
