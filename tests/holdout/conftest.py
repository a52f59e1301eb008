from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from holdout import reference, site_table, synthetic
from holdout.index import read_index
from holdout.ingest import ingest
from holdout.lock import LockedHoldout, lock

DATASET_KEY = b"d" * 32
REFERENCE_KEY = b"r" * 32


@dataclass(frozen=True)
class SyntheticSet:
    folder: Path
    index: pa.Table
    reference: reference.ReferenceStandard
    site: dict[str, list[str]]

    @property
    def dicom(self) -> Path:
        return self.folder / "dicom"

    def lock(self, destination: Path, **options: object) -> LockedHoldout:
        given: dict[str, object] = {
            "name": "synthetic",
            "version": "1",
            "dataset_key": DATASET_KEY,
            "reference_key": REFERENCE_KEY,
            "site": self.site,
            "protect_source": False,
        }
        source = options.pop("source", self.dicom)
        index = options.pop("index", self.index)
        standard = options.pop("reference", self.reference)
        return lock(source, index, standard, destination, **(given | options))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def synthetic_set(tmp_path_factory: pytest.TempPathFactory) -> SyntheticSet:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    synthetic.generate(folder, patients=24, seed=4)
    ingest(folder / "dicom", folder / "index.parquet", processes=1)
    index = read_index(folder / "index.parquet")
    return SyntheticSet(
        folder=folder,
        index=index,
        reference=reference.load(folder / "reference.yaml", index),
        site=site_table.load_site_table(folder / "site.yaml", index),
    )
