"""Source files for tests of the container's view, and the view of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom import config

from holdout.dicom_writer import ImageDescription, NativePixels, write_image
from holdout.view import ViewPlan, build, read_source
from holdout.view_attributes import NAMEABLE
from tests.holdout.dicom_files import change

TOKEN = re.compile(rb"CNRY\d{5}")
KEY = b"k" * 32
PSEUDONYM = "0123456789abcdef"
EVERYTHING = ViewPlan(attributes=tuple(NAMEABLE), vocabulary={"Manufacturer": frozenset({"Siemens"})})


def view(content: bytes, plan: ViewPlan | None = None) -> bytes:
    plan = plan or ViewPlan()
    rules = plan.rules()
    return build(read_source(content, rules), plan, rules=rules, case_key=KEY, pseudonym=PSEUDONYM, number=1)


@contextmanager
def lenient() -> Iterator[None]:
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before


def base_file(**options: Any) -> bytes:
    description = ImageDescription(
        kind="DX",
        sop_instance_uid="1.2.3.4",
        study_instance_uid="1.2.3.5",
        series_instance_uid="1.2.3.6",
        patient_id="P",
        pixel_spacing=(0.2, 0.2),
        view="PA",
        **options,
    )
    pixels = np.zeros((8, 8), np.uint16)
    return write_image(description, NativePixels(array=pixels, bits_stored=12))


def with_value(**values: Any) -> bytes:
    with lenient():
        dataset = pydicom.dcmread(BytesIO(base_file()))
        change(dataset, values)
        buffer = BytesIO()
        pydicom.dcmwrite(buffer, dataset)
        return buffer.getvalue()
