"""Masks that containers leave as files: every form on the grid of its case, and what hostile ones come to."""

import gzip
import io
import zlib

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from holdout.answered_mask import read_answered_mask
from holdout.case_reader import CaseReader
from holdout.decoding import DecodingLimits
from holdout.image_grid import read_grid, without_place
from holdout.image_reading import ImageDefect
from holdout.mask_runs import decode, from_numbers
from holdout.metaimage_reading import read_metaimage
from runners.contracts.metaimage import Volume, write_metaimage
from tests.holdout import truth_objects as made
from tests.holdout.test_reference_volumes import affine_of, nifti

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
MOST = 1 << 24


def ball(shape=(5, 20, 24)):
    places = np.indices(shape)
    middle = np.array(shape)[:, None, None, None] / 2
    return (((places - middle) / middle) ** 2).sum(axis=0) < 0.5


def read(content, grid, *, value=None, resample=False, runs=2000, most=MOST):
    return read_answered_mask(content, grid, value=value, resample=resample, runs=runs, most=most)


def mha(tmp_path, values, affine, *, compressed=False, dimensions=3):
    """A MetaImage of values (slices, rows, columns), as the host's own writer makes it, or deflated."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = (affine[:3, :3] / spacing).T
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.mha"
    write_metaimage(
        Volume(
            array=values,
            spacing=tuple(spacing[:dimensions]),
            origin=tuple(affine[:dimensions, 3]),
            direction=tuple(axes[:dimensions, :dimensions].ravel()),
        ),
        path,
    )
    content = path.read_bytes()
    if compressed:
        header, _, body = content.partition(b"ElementDataFile = LOCAL\n")
        packed = zlib.compress(body)
        header = header.replace(b"CompressedData = False", b"CompressedData = True")
        content = header + b"CompressedDataSize = %d\nElementDataFile = LOCAL\n" % len(packed) + packed
    return content


@pytest.fixture(params=[made.AXIAL, OBLIQUE])
def series(request, tmp_path):
    images = made.ct_series(orientation=request.param)
    (tmp_path / "images").mkdir()
    (tmp_path / "files").mkdir()
    return images, read_grid(made.save_all(tmp_path / "images", images[::-1])), tmp_path / "files"


@pytest.mark.parametrize("form", ["nii", "nii.gz", "mha", "mha deflated"])
def test_a_mask_on_the_images_grid_comes_back_as_it_was(series, form):
    images, grid, folder = series
    mask, affine = ball(), affine_of(images)
    upright = mask.astype(np.uint8).transpose(2, 1, 0)
    if form.startswith("nii"):
        content = nifti(upright, affine)
        content = gzip.compress(content) if form == "nii.gz" else content
    else:
        content = mha(folder, mask.astype(np.uint8), affine, compressed=form.endswith("deflated"))
    found = read(content, grid)
    assert found.problem == ""
    assert (decode(from_numbers(found.numbers)) == mask).all()
    assert read(content, grid, value=1).numbers == found.numbers
    assert decode(from_numbers(read(content, grid, value=2).numbers)).sum() == 0


def test_another_grid_is_refused_or_resampled(series):
    images, grid, folder = series
    affine = affine_of(images)
    affine[:3, 3] += affine[:3, 0] / 2
    for content in (
        nifti(ball().astype(np.uint8).transpose(2, 1, 0), affine),
        mha(folder, ball().astype(np.uint8), affine),
    ):
        assert read(content, grid).problem == "unfit"
        moved = read(content, grid, resample=True)
        assert moved.problem == ""
        overlap = decode(from_numbers(moved.numbers)) & ball()
        assert overlap.sum() > 0.8 * ball().sum()
    short = nifti(ball((4, 20, 24)).astype(np.uint8).transpose(2, 1, 0), affine_of(images))
    assert read(short, grid).problem == "unfit"


def test_a_segmentation_object_of_the_case(series):
    images, grid, _ = series
    content = made.content_of(made.segmentation(images, ball()))
    assert (decode(from_numbers(read(content, grid).numbers)) == ball()).all()
    assert read(content, grid, value=1).problem == ""
    assert read(content, grid, value=7).problem == "unfit"
    other = read_grid(made.save_all(series[2], made.ct_series("P2", seed=3)))
    assert read(content, other).problem == "unfit"


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_images_without_a_place_take_masks_of_their_size(tmp_path):
    grid = without_place(["1.2.3"], 20, 24)
    mask = ball()[2]
    drawn = mask.astype(np.uint8) * 255
    for content in (png(drawn), mha(tmp_path, drawn, np.diag([0.5, 0.5, 1.0, 1.0]), dimensions=2)):
        assert (decode(from_numbers(read(content, grid).numbers)) == mask).all()
        assert read(content, without_place(["1.2.3"], 24, 20)).problem == "unfit"
    assert read(png(np.arange(480, dtype=np.uint8).reshape(20, 24) % 3), grid).problem == "unreadable"
    assert read(nifti(drawn.T[:, :, None], np.eye(4)), grid).problem == "unfit"
    turned = mha(
        tmp_path, drawn, np.array([[0, 1.0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), dimensions=2
    )
    assert read(turned, grid).problem == "unfit"


def test_noise_has_too_many_runs_and_is_counted_before_it_is_listed(series):
    images, grid, _ = series
    noise = np.random.default_rng(0).random((24, 20, 5)) < 0.5
    content = nifti(noise.astype(np.uint8), affine_of(images))
    assert read(content, grid, runs=200).problem == "too_many_runs"
    runs = len(read(content, grid).numbers) - 4
    assert read(content, grid, runs=runs).problem == ""
    assert read(content, grid, runs=runs - 1).problem == "too_many_runs"


def test_what_is_declared_is_held_against_the_limit_before_it_is_inflated(series):
    images, grid, folder = series
    bomb = gzip.compress(nifti(np.zeros((512, 512, 200), np.uint8), affine_of(images)))
    assert len(bomb) < 1 << 20
    assert read(bomb, grid, most=1 << 20).problem == "unreadable"
    content = mha(folder, np.zeros((5, 20, 24), np.uint8), affine_of(images), compressed=True)
    huge = content.replace(b"DimSize = 24 20 5", b"DimSize = 60000 60000 5")
    with pytest.raises(ImageDefect, match="larger than it may be"):
        read_metaimage(huge, MOST)
    short = content.replace(b"DimSize = 24 20 5", b"DimSize = 24 20 6")
    with pytest.raises(ImageDefect, match="do not fill"):
        read_metaimage(short, MOST)
    packed = zlib.compress(bytes(1 << 24))
    more = content.partition(b"LOCAL\n")[0] + b"LOCAL\n" + packed
    with pytest.raises(ImageDefect, match="do not fill"):
        read_metaimage(more, MOST)


HEADER = b"ObjectType = Image\nNDims = 2\nDimSize = 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"


@pytest.mark.parametrize(
    "change",
    [
        (b"NDims = 2", b"NDims = 4"),
        (b"DimSize = 2 2", b"DimSize = 2"),
        (b"DimSize = 2 2", b"DimSize = -2 -2"),
        (b"DimSize = 2 2", b"DimSize = nan 2"),
        (b"MET_UCHAR", b"MET_UCHAR_ARRAY"),
        (b"= LOCAL", b"= /etc/passwd"),
        (b"NDims = 2", b"NDims = 2\nNDims = 2"),
        (b"NDims = 2", b"NDims = 2\nElementSpacing = 0 1"),
        (b"NDims = 2", b"NDims = 2\nOffset = inf 0"),
        (b"NDims = 2", b"NDims = 2\nElementNumberOfChannels = 3"),
        (b"NDims = 2", b"NDims = 2\nComment = " + b"x" * 5000),
    ],
)
def test_metaimage_headers_that_are_refused(change):
    assert read_metaimage(HEADER + b"\0\1\0\1", MOST).values.shape == (2, 2, 1)
    with pytest.raises(ImageDefect):
        read_metaimage(HEADER.replace(*change) + b"\0\1\0\1", MOST)


@given(
    st.binary(max_size=400),
    st.sampled_from([b"", HEADER, b"\x1f\x8b", b"\x89PNG\r\n\x1a\n", b"\0" * 128 + b"DICM"]),
)
def test_any_bytes_are_a_mask_or_a_problem(content, start):
    found = read(start + content, without_place(["1.2.3"], 2, 2))
    assert found.problem or decode(from_numbers(found.numbers)).shape == (2, 2)


def test_a_reader_that_dies_ends_with_one_mask(tmp_path):
    images = made.ct_series()
    files = made.save_all(tmp_path, images)
    names = [path.name for path in files]
    limits = DecodingLimits(decoded_bytes=1 << 33, memory_bytes=768 << 20, seconds_per_file=60)
    with CaseReader(limits) as reader:
        grid = reader.grid(tmp_path, names)
        asked = {"value": None, "resample": False, "runs": 5000}
        vast = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
        vast.header.set_data_shape((600, 600, 280))
        dies = reader.mask(gzip.compress(vast.header.binaryblock + bytes(403_200_004), 1), grid, **asked)
        assert dies.problem == "unreadable"
        good = nifti(ball().astype(np.uint8).transpose(2, 1, 0), affine_of(images))
        assert reader.mask(good, grid, **asked).problem == ""
        assert reader.volume(tmp_path, names).shape == (5, 20, 24)
