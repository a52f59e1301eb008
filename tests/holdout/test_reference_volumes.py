"""NIfTI and MetaImage masks on the grid of DICOM images, in every orientation of their axes; nibabel writes NIfTI."""

import gzip
import itertools

import nibabel
import numpy as np
import pytest

from holdout.image_grid import read_grid
from holdout.image_reading import ImageDefect
from holdout.reference_forms import VolumeForm
from holdout.reference_nifti import read_nifti
from holdout.reference_volumes import volume_mask
from tests.holdout import truth_objects as made

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def form(**parts):
    return VolumeForm(form="nifti", **parts)


def affine_of(images):
    """LPS affine of (column, row, slice), written out anew from the attributes (PS3.3 C.7.6.2.1.1)."""
    first, last = images[0], images[-1]
    along = np.reshape([float(v) for v in first.ImageOrientationPatient], (2, 3))
    ends = [np.array([float(v) for v in each.ImagePositionPatient]) for each in (first, last)]
    affine = np.eye(4)
    affine[:3, 0] = along[0] * float(first.PixelSpacing[1])
    affine[:3, 1] = along[1] * float(first.PixelSpacing[0])
    affine[:3, 2] = (ends[1] - ends[0]) / (len(images) - 1)
    affine[:3, 3] = ends[0]
    return affine


def nifti(values, lps, kind=nibabel.Nifti1Image):
    image = kind(values, TO_RAS @ lps)
    image.set_sform(TO_RAS @ lps, code=1)
    return image.to_bytes()


def turned(values, affine, order, flips):
    """The same voxels with their axes in another order and direction."""
    values, affine = values.transpose(order), affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
            affine[:3, axis] *= -1
            values = np.flip(values, axis)
    return np.ascontiguousarray(values), affine


@pytest.mark.parametrize("orientation", [made.AXIAL, OBLIQUE])
def test_any_order_and_direction_of_axes_comes_to_the_same_mask(tmp_path, orientation):
    images = made.ct_series(slices=4, rows=6, columns=5, orientation=orientation)
    grid = read_grid(made.save_all(tmp_path, images[::-1]))
    mask = np.random.default_rng(1).random((4, 6, 5)) < 0.4
    upright = mask.astype(np.uint8).transpose(2, 1, 0)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            content = nifti(*turned(upright, affine_of(images), order, flips))
            found = volume_mask(content, grid, form())
            assert np.array_equal(found.mask, mask), (order, flips)
            assert not found.resampled


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_values_thresholds_and_compression(tmp_path, kind):
    images = made.ct_series(slices=4, rows=6, columns=5)
    grid = read_grid(made.save_all(tmp_path, images))
    values = np.random.default_rng(2).integers(0, 4, (4, 6, 5)).astype(np.int16)
    content = gzip.compress(nifti(values.transpose(2, 1, 0), affine_of(images), kind))
    assert np.array_equal(volume_mask(content, grid, form(value=2)).mask, values == 2)
    with pytest.raises(ImageDefect, match="two values"):
        volume_mask(content, grid, form())
    shares = (values / 4).astype(np.float32)
    content = nifti(shares.transpose(2, 1, 0), affine_of(images), kind)
    assert np.array_equal(volume_mask(content, grid, form(threshold=0.5)).mask, shares >= 0.5)


def test_another_grid_is_refused_or_interpolated(tmp_path):
    images = made.ct_series(slices=4, rows=8, columns=7)
    grid = read_grid(made.save_all(tmp_path, images))
    lps = affine_of(images)
    half = lps.copy()
    half[:3, :3] /= 2
    fractions = np.random.default_rng(3).random((14, 16, 8)).astype(np.float32)
    # Half a voxel off, so that no centre meets another.
    half[:3, 3] -= half[:3, :3] @ [0.5, 0.5, 0.5]
    content = nifti(fractions, half)
    with pytest.raises(ImageDefect, match="another grid"):
        volume_mask(content, grid, form(threshold=0.5))
    found = volume_mask(content, grid, form(threshold=0.5, on_mismatch="resample"))
    assert found.resampled
    # Trilinear by hand: every centre lies amid eight voxels.
    expected = np.zeros((4, 8, 7), dtype=bool)
    for s, r, c in np.ndindex(4, 8, 7):
        corner = fractions[2 * c : 2 * c + 2, 2 * r : 2 * r + 2, 2 * s : 2 * s + 2]
        expected[s, r, c] = corner.mean() >= 0.5
    assert np.array_equal(found.mask, expected)
    with pytest.raises(ImageDefect, match="beyond them"):
        volume_mask(nifti(np.ones((7, 8, 3), np.uint8), lps), grid, form())


@pytest.mark.parametrize(("share", "kept"), [(0.4, 7), (0.6, 6)])
@pytest.mark.parametrize("parts", [{}, {"threshold": 0.5}])
def test_a_mask_ends_at_the_faces_of_its_elements(tmp_path, share, kept, parts):
    images = made.ct_series(slices=4, rows=8, columns=7)
    grid = read_grid(made.save_all(tmp_path, images))
    shifted = affine_of(images)
    # To the left by a share of an element: the last column of the image lies so far beyond the last centre.
    shifted[0, 3] -= share * 0.7
    values = np.ones((7, 8, 4), dtype=np.float32 if parts else np.uint8)
    found = volume_mask(nifti(values, shifted), grid, form(on_mismatch="resample", **parts))
    assert found.resampled
    assert found.mask.sum(axis=(0, 1)).tolist() == [32] * kept + [0] * (7 - kept)


def test_what_is_no_mask_with_a_place_is_refused(tmp_path):
    images = made.ct_series(slices=4, rows=6, columns=5)
    grid = read_grid(made.save_all(tmp_path, images))
    content = nifti(np.ones((5, 6, 4), np.uint8), affine_of(images))
    for broken in (b"", b"text", content[:200], content[:-8], gzip.compress(content)[:-20]):
        with pytest.raises(ImageDefect):
            volume_mask(broken, grid, form())
    nowhere = nibabel.Nifti1Image(np.ones((5, 6, 4), np.uint8), None)
    with pytest.raises(ImageDefect, match="does not say where"):
        read_nifti(nowhere.to_bytes())
    series = nifti(np.ones((5, 6, 4, 2), np.uint8), affine_of(images))
    with pytest.raises(ImageDefect, match="three axes"):
        read_nifti(series)


def test_slices_that_are_missing_do_not_shift_the_others(tmp_path):
    images = made.ct_series(slices=5, rows=6, columns=5)
    kept = [images[0], images[1], images[4]]
    grid = read_grid(made.save_all(tmp_path, kept))
    assert grid.element_spacing is None
    mask = np.zeros((5, 6, 5), dtype=np.uint8)
    mask[[0, 1, 4], 2, 3] = 1
    mask[4, 0, 0] = 1
    found = volume_mask(nifti(mask.transpose(2, 1, 0), affine_of(images)), grid, form())
    assert np.array_equal(found.mask, mask[[0, 1, 4]] > 0)


def test_a_metaimage_is_read_by_its_places_too(tmp_path):
    images = made.ct_series(slices=4, rows=6, columns=5, orientation=OBLIQUE)
    grid = read_grid(made.save_all(tmp_path, images))
    values = np.random.default_rng(7).integers(0, 3, (4, 6, 5)).astype(np.uint8)
    lps = affine_of(images)
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    header = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(map(repr, (lps[:3, :3] / sizes).T.ravel().tolist())),
        "Offset": " ".join(map(repr, lps[:3, 3].tolist())),
        "ElementSpacing": " ".join(map(repr, sizes.tolist())),
        "DimSize": "5 6 4",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{name} = {value}\n" for name, value in header.items())
    form_ = VolumeForm(form="metaimage", value=2)
    found = volume_mask(text.encode() + values.tobytes(), grid, form_)
    assert np.array_equal(found.mask, values == 2)
    assert not found.resampled
