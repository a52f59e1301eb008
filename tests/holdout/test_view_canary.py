"""Nothing identifying survives in the container's view, wherever the source has it."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian

from holdout import deidentification
from holdout.view import ViewPlan
from holdout.view_attributes import IMAGE
from tests.holdout.view_files import EVERYTHING, PSEUDONYM, TOKEN, base_file, lenient, view


class Canary:
    """A file with a unique token in every place that can hold one."""

    kept_tags = frozenset(rule.tag for rule in IMAGE if rule.vr in ("US", "SS", "OW", "DS", "IS")) | {
        0x00080016,
        0x00280004,
        0x7FE00008,
        0x7FE00009,
        0x7FE00010,
    }

    def __init__(self) -> None:
        self.count = 0
        self.dates: set[bytes] = set()

    def token(self) -> str:
        self.count += 1
        return f"CNRY{self.count:05d}"

    def value(self, vr: str) -> Any:
        if vr in ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"):
            return self.token()
        if vr in ("OB", "OW", "OD", "OF", "OL", "OV", "UN"):
            return self.token().encode() + b"123"[:1]
        if vr == "UI":
            self.count += 1
            return f"1.9.4242.{self.count}"
        if vr == "DA":
            return "19370411"
        if vr == "DT":
            return "19370411093742"
        if vr == "TM":
            return "093742"
        return None

    def fill(self, dataset: Dataset) -> None:
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            group = tag >> 16
            if group in (0x0000, 0x0002, 0xFFFE) or tag & 0xFFFF == 0 or tag in self.kept_tags or not keyword:
                continue
            for single in [vr] if " or " not in vr else [vr.split(" or ")[-1]]:
                if single == "SQ":
                    item = Dataset()
                    item.CodeValue, item.CodingSchemeDesignator = self.token(), self.token()
                    item.CodeMeaning = self.token()
                    nested = Dataset()
                    nested.TextValue = self.token()
                    item.ContentSequence = Sequence([nested])
                    item.add(DataElement(0x00091001, "LO", self.token()))
                    dataset.add(DataElement(tag, "SQ", Sequence([item])))
                else:
                    value = self.value(single)
                    if value is not None:
                        dataset.add(DataElement(tag, single, value))
        for group in (0x5000, 0x5002, 0x6000, 0x601E):
            dataset.add(DataElement(group << 16 | 0x0022, "LO", self.token()))
            dataset.add(DataElement(group << 16 | 0x3000, "OB", self.value("OB")))
        dataset.add(DataElement(0x00091001, "LO", self.token()))
        dataset.add(DataElement(0x00090010, "LO", self.token()))
        dataset.add(DataElement(0x7FDF1010, "UN", self.value("UN")))
        dataset.add(DataElement(0x00180FFF, "UN", self.value("UN")))
        dataset.add(DataElement(0xFFFCFFFC, "OB", self.value("OB")))

    def make(self) -> bytes:
        with lenient():
            dataset = pydicom.dcmread(BytesIO(base_file()))
            self.fill(dataset)
            dataset.preamble = (self.token().encode() * 16)[:128]
            meta = dataset.file_meta
            meta.SourceApplicationEntityTitle = self.token()
            meta.SendingApplicationEntityTitle = self.token()
            meta.ReceivingApplicationEntityTitle = self.token()
            meta.PrivateInformationCreatorUID = "1.9.4242.1"
            meta.PrivateInformation = self.value("OB")
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset, enforce_file_format=False)
            return buffer.getvalue() + self.token().encode()


@pytest.mark.parametrize("plan", [ViewPlan(), EVERYTHING], ids=["nothing named", "everything named"])
@pytest.mark.parametrize("syntax", ["explicit", "implicit", "odd"])
def test_no_canary_survives(plan: ViewPlan, syntax: str) -> None:
    content = Canary().make()
    with lenient():
        if syntax == "implicit":
            dataset = pydicom.dcmread(BytesIO(content), force=True)
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
            content = buffer.getvalue()
    if syntax == "odd":
        # An element out of order sends the file to pydicom instead of the quick walk.
        start = content.index(b"\x08\x00\x08\x00CS")
        content = content[:start] + b"\x08\x00\x0a\x00LO\x0a\x00CNRY99999 " + content[start:]
    assert len(set(TOKEN.findall(content))) > 2000
    staged = view(content, plan)
    assert TOKEN.findall(staged) == []
    assert b"1.9.4242." not in staged
    assert b"19370411" not in staged
    assert b"093742" not in staged
    assert deidentification.violations(staged, pseudonym=PSEUDONYM, retained=plan.attributes) == []
    assert np.array_equal(pydicom.dcmread(BytesIO(staged)).pixel_array, np.zeros((8, 8)))


def test_the_second_check_finds_what_the_view_would_have_missed() -> None:
    staged = view(base_file())

    def spoiled(**values: Any) -> list[str]:
        with lenient():
            dataset = pydicom.dcmread(BytesIO(staged))
            for keyword, value in values.items():
                setattr(dataset, keyword, value)
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, dataset)
            return deidentification.violations(buffer.getvalue(), pseudonym=PSEUDONYM)

    assert spoiled() == []
    for values, tag in (
        ({"PatientBirthDate": "19700101"}, "(0010,0030)"),
        ({"PatientName": "Smith"}, "(0010,0010)"),
        ({"SOPInstanceUID": "1.2.3"}, "(0008,0018)"),
        ({"PatientComments": "x"}, "(0010,4000)"),
        ({"InstitutionName": "x"}, "(0008,0080)"),
        ({"SequenceName": "x"}, "(0018,0024)"),
        ({"StudyDate": "20200101"}, "(0008,0020)"),
    ):
        assert any(found.startswith(tag) for found in spoiled(**values)), tag
    assert deidentification.violations(b"x" + staged[1:], pseudonym=PSEUDONYM) == ["preamble is not empty"]
    assert deidentification.violations(staged + b"xx", pseudonym=PSEUDONYM) != []
    assert len(deidentification.profile_tags()) > 600
