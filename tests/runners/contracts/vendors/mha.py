"""A small reader of MetaImage files, as an algorithm without ITK would have one."""

# Written in the style of such containers, not in ours.
# ruff: noqa: PTH123

import numpy as np

TYPES = {"MET_UCHAR": "u1", "MET_SHORT": "<i2", "MET_USHORT": "<u2", "MET_INT": "<i4", "MET_FLOAT": "<f4"}


def read(path):
    """Header and pixels, slices first."""
    header = {}
    with open(path, "rb") as f:
        while header.get("ElementDataFile") is None:
            name, _, value = f.readline().decode("ascii").partition("=")
            header[name.strip()] = value.strip()
        assert header["ElementDataFile"] == "LOCAL"
        assert header["BinaryDataByteOrderMSB"] == header["CompressedData"] == "False"
        size = [int(n) for n in header["DimSize"].split()]
        channels = int(header.get("ElementNumberOfChannels", 1))
        pixels = np.frombuffer(f.read(), TYPES[header["ElementType"]])
    shape = size[::-1] + ([channels] if channels > 1 else [])
    return header, pixels.reshape(shape)
