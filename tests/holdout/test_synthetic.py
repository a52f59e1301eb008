import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest

from holdout import synthetic
from holdout.errors import HoldoutError


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    synthetic.generate(folder, patients=700, seed=5)
    return folder


@pytest.fixture(scope="module")
def images(made: Path) -> list[dict[str, object]]:
    site = {row["sop_instance_uid"]: row for row in rows(made / "site.csv")}
    truth = {row["sop_instance_uid"]: row for row in rows(made / "reference.csv")}
    found: list[dict[str, object]] = []
    for row in rows(made / "acquisition.csv"):
        dataset = pydicom.dcmread(made / "dicom" / row["file"])
        array = dataset.pixel_array.astype(float)
        inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
        shown = 4095 - array if inverted else array
        corner = shown[4:10, 4:10].mean()
        found.append(
            {
                "age": int(dataset.PatientAge[:3]),
                "scanner": dataset.Manufacturer[-1],
                "site": site[row["sop_instance_uid"]]["site"],
                "label": int(truth[row["sop_instance_uid"]]["opacity"]),
                "inverted": inverted,
                "marker": corner > 3700,
                "said": site[row["sop_instance_uid"]]["marker"] == "yes",
                # Neighbours share the anatomy, so their difference is noise alone.
                "noise": np.diff(shown[100:124, 2:8], axis=1).std() / np.sqrt(2),
                "contrast": np.percentile(shown, 90) - np.percentile(shown[:, :4], 50),
            }
        )
    return found


def share(images: list[dict[str, object]], what: str, **where: object) -> tuple[float, float]:
    """Rate of a true value among the chosen images, and four standard errors (doubled for clustering)."""
    chosen = [
        bool(image[what]) for image in images if all(image[key] == value for key, value in where.items())
    ]
    assert len(chosen) > 50
    rate = sum(chosen) / len(chosen)
    return rate, 4 * np.sqrt(2 * max(rate * (1 - rate), 0.01) / len(chosen))


def test_planted_rates_are_in_the_data(images: list[dict[str, object]]) -> None:
    planted = {(truth.quantity, truth.level): truth.value for truth in synthetic.PLANTED}
    for low, below, prevalence in synthetic.AGE_BANDS:
        band = [image | {"in": low <= int(str(image["age"])) < below} for image in images]
        rate, error = share(band, "label", **{"in": True})
        assert rate == pytest.approx(prevalence, abs=error)
        assert planted["prevalence by age", f"{low}-{below - 1}"] == prevalence
    for site, expected in synthetic.SCANNER_A_RATE.items():
        flagged = [image | {"is_a": image["scanner"] == "A"} for image in images]
        rate, error = share(flagged, "is_a", site=site)
        assert rate == pytest.approx(expected, abs=error)
    for (site, label), expected in synthetic.MARKER_RATE.items():
        rate, error = share(images, "marker", site=site, label=label)
        assert rate == pytest.approx(expected, abs=error if expected else 0)
    for scanner, expected in synthetic.MONOCHROME1_RATE.items():
        rate, error = share(images, "inverted", scanner=scanner)
        assert rate == pytest.approx(expected, abs=error if expected else 0)
    assert all(image["marker"] == image["said"] for image in images)


def test_scanner_shift_is_in_the_pixels(images: list[dict[str, object]]) -> None:
    for scanner in "AB":
        noise = np.median([image["noise"] for image in images if image["scanner"] == scanner])  # type: ignore[arg-type]
        assert noise == pytest.approx(synthetic.NOISE[scanner], rel=0.05)
    contrast = {
        scanner: np.median([image["contrast"] for image in images if image["scanner"] == scanner])  # type: ignore[arg-type]
        for scanner in "AB"
    }
    assert contrast["B"] / contrast["A"] == pytest.approx(synthetic.CONTRAST["B"], abs=0.06)


def test_it_is_called_synthetic_wherever_it_appears(made: Path) -> None:
    dataset = pydicom.dcmread(next((made / "dicom").rglob("*.dcm")))
    for keyword in ("SeriesDescription", "StudyDescription", "InstitutionName", "PatientID", "PatientName"):
        assert "SYNTHETIC" in str(dataset[keyword].value)
    assert dataset.Manufacturer in ("Synthetic A", "Synthetic B")
    readme = (made / "README.md").read_text()
    assert "SYNTHETIC" in readme
    assert "0.85" in readme
    assert {(row["quantity"], row["level"]): float(row["value"]) for row in rows(made / "planted.csv")} == {
        (truth.quantity, truth.level): truth.value for truth in synthetic.PLANTED
    }


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthetic.generate(tmp_path / name, patients=20, seed=9)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 25
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    synthetic.generate(tmp_path / "c", patients=20, seed=10)
    assert (tmp_path / "a" / "reference.csv").read_bytes() != (tmp_path / "c" / "reference.csv").read_bytes()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(HoldoutError, match="at least 10"):
        synthetic.generate(tmp_path / "few", patients=3)
    with pytest.raises(HoldoutError, match="exists already"):
        synthetic.generate(tmp_path)
