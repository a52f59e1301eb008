"""The same pixels in every lossless transfer syntax: nothing may change."""

from __future__ import annotations

import numpy as np
from pydicom import uid as uids

from sandbox.stress.case import OpenCase, stored_values
from sandbox.stress.encoders import encode
from sandbox.stress.errors import NotApplicableError
from sandbox.stress.perturbation import Change, Perturbation, Severity

_SYNTAXES = (
    ("explicit_little_endian", uids.ExplicitVRLittleEndian, "Explicit VR Little Endian", "PS3.5 A.2"),
    ("implicit_little_endian", uids.ImplicitVRLittleEndian, "Implicit VR Little Endian", "PS3.5 A.1"),
    ("explicit_big_endian", uids.ExplicitVRBigEndian, "Explicit VR Big Endian (retired)", "PS3.5 2016b A.3"),
    ("deflated", uids.DeflatedExplicitVRLittleEndian, "Deflated Explicit VR Little Endian", "PS3.5 A.5"),
    ("rle", uids.RLELossless, "RLE Lossless", "PS3.5 A.4.2 and annex G"),
    ("jpeg_lossless", uids.JPEGLossless, "JPEG Lossless, process 14", "PS3.5 A.4.1; ISO/IEC 10918-1"),
    ("jpeg_lossless_sv1", uids.JPEGLosslessSV1, "JPEG Lossless, first-order prediction", "PS3.5 A.4.1"),
    ("jpeg_ls", uids.JPEGLSLossless, "JPEG-LS Lossless", "PS3.5 A.4.3; ISO/IEC 14495-1"),
    ("htj2k", uids.HTJ2KLossless, "High-Throughput JPEG 2000, lossless", "PS3.5 10.18; ISO/IEC 15444-15"),
    ("htj2k_rpcl", uids.HTJ2KLosslessRPCL, "High-Throughput JPEG 2000, RPCL, lossless", "PS3.5 10.18"),
    ("jpeg_2000_lossless", uids.JPEG2000Lossless, "JPEG 2000 Lossless Only", "PS3.5 A.4.4; ISO/IEC 15444-1"),
)


def _rewritten(syntax: str) -> Change:
    def change(case: OpenCase, _: Severity, numbers: np.random.Generator) -> None:
        for image in case.images:
            if image.photometric.startswith("PALETTE"):
                raise NotApplicableError("a palette cannot be carried by every transfer syntax")
            stored_values(image)
            encode(image, syntax)
            image.encode_as = syntax

    return change


PERTURBATIONS = tuple(
    Perturbation(
        name=f"as_{name}",
        family="DICOM lossless",
        expectation="must not change",
        kind="encoding",
        unit="",
        severities=(title,),
        sentence=f"The same pixels written as {title}.",
        source=source,
        function=_rewritten(str(syntax)),
        in_place=True,
    )
    for name, syntax, title, source in _SYNTAXES
)
