from __future__ import annotations

import io
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from holdout.bounded import BoundedPool, Failure
from sandbox.stress.errors import NotApplicableError, UnknownPerturbationError
from sandbox.stress.perturb import NotApplicable, PerturbedCase, PerturbTask, perturb_case, perturb_task
from sandbox.stress.registry import find, registry
from tests.sandbox.stress import cases

MODALITIES = ("CT", "MR", "CR", "US", "PT", "XC")
FILES = {modality: cases.case(modality) for modality in MODALITIES}
FEW_SLICES = FILES | {"CT": cases.case("CT", slices=3)}
CHANGING = [name for name, entry in registry().items() if entry.function is not None]
# Severities of these are not ordered by how far pixels move: a wall that is thrown out, a file cut, other noise.
NOT_BY_DISTANCE = {
    "truncated_file",
    "crop",
    "constant",
    "noise",
    "slices_missing",
    "slices_gap",
    "slices_duplicated",
}
NOT_BY_DISTANCE |= {
    "ct_table_shift",
    "corners_masked",
    "corners_swapped",
    "non_square_pixels",
    "paediatric_scale",
    "us_depth_scale",
}


def _applicable(name: str) -> list[str]:
    wanted = registry()[name].modalities
    return [modality for modality in MODALITIES if not wanted or modality in wanted]


@pytest.mark.parametrize("name", CHANGING)
def test_severity_zero_is_the_identity_in_pixels_and_new_in_identifiers(name: str) -> None:
    for modality in _applicable(name):
        made = cases.perturbed(FEW_SLICES[modality], name, 0)
        assert cases.distance(cases.values(FEW_SLICES[modality]), cases.values(made)) == 0
        for (_, before), (_, after) in zip(FEW_SLICES[modality], made.files, strict=True):
            old, new = (pydicom.dcmread(io.BytesIO(content)) for content in (before, after))
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                assert old[keyword].value != new[keyword].value
            assert new.PatientID == new.PatientName == made.pseudonym != old.PatientID
            assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID


@pytest.mark.parametrize("name", [name for name in CHANGING if registry()[name].graded])
def test_severities_are_monotone(name: str) -> None:
    applied = 0
    for modality in _applicable(name):
        if name in NOT_BY_DISTANCE:
            continue
        clean = cases.values(FILES[modality])
        try:
            ladder = [
                cases.distance(clean, cases.values(cases.perturbed(FILES[modality], name, s)))
                for s in range(6)
            ]
        except NotApplicableError:
            continue
        applied += 1
        assert ladder[0] == 0
        steps = np.diff(ladder)
        # A ratio that a picture reaches without loss asks nothing more of the encoder.
        assert all(steps >= 0 if name == "lossy_jpeg_2000" else steps > 0), (modality, ladder)
        assert ladder[5] > ladder[1]
    assert applied or name in NOT_BY_DISTANCE, f"{name} applies to no synthetic case"


@pytest.mark.parametrize(
    "name", [name for name in CHANGING if registry()[name].expectation == "must not change"]
)
def test_equivalent_files_have_equal_modality_values(name: str) -> None:
    for modality in _applicable(name):
        try:
            made = cases.perturbed(FILES[modality], name, 1)
        except NotApplicableError:
            continue
        before, after = cases.values(FILES[modality]), cases.values(made)
        if name == "other_monochrome":
            before = [4095 - values for values in before]
        if name == "as_multi_frame":
            # Frames come from the last position to the first; each says where it lies.
            after = list(after[0])[::-1]
        if name == "file_order":
            by_position = sorted(made.files, key=lambda f: pydicom.dcmread(io.BytesIO(f[1])).InstanceNumber)
            after = cases.values(by_position)
        assert cases.distance(before, after) == pytest.approx(0, abs=1e-6)


def test_every_lossless_transfer_syntax_is_really_used_and_colour_survives() -> None:
    seen = set()
    for name, entry in registry().items():
        if entry.family == "DICOM lossless":
            for modality in ("CT", "PT", "XC"):
                made = cases.perturbed(FILES[modality], name, 1)
                seen.add(pydicom.dcmread(io.BytesIO(made.files[0][1])).file_meta.TransferSyntaxUID)
                assert cases.distance(cases.values(FILES[modality]), cases.values(made)) == 0
    assert len(seen) == 11


@pytest.mark.parametrize("name", [n for n in CHANGING if registry()[n].family == "DICOM lossless"])
def test_an_odd_number_of_pixels_is_written_too(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (63, 65), dtype=np.uint8)
    files = [("1.dcm", cases.dicom_file("CR", pixels, 1))]
    assert np.array_equal(cases.values(cases.perturbed(files, name, 1))[0], pixels)


@pytest.mark.parametrize("name", CHANGING)
def test_attributes_say_what_the_pixel_data_are(name: str) -> None:
    for modality in _applicable(name):
        for severity in (1, len(registry()[name].severities)):
            files = FILES if "slice" in name else FEW_SLICES
            try:
                made = cases.perturbed(files[modality], name, severity)
            except NotApplicableError:
                continue
            if name in ("truncated_file", "zero_byte", "encapsulated_pdf"):
                continue
            identifiers = set()
            for _, content in made.files:
                data = pydicom.dcmread(io.BytesIO(content))
                identifiers.add(data.SOPInstanceUID)
                assert data.HighBit == data.BitsStored - 1 < data.BitsAllocated
                if not data.file_meta.TransferSyntaxUID.is_encapsulated:
                    size = data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated // 8
                    size *= int(data.get("NumberOfFrames") or 1)
                    assert len(data.PixelData) == size + size % 2
                    assert data.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2", "RGB")
                low, high = (
                    (0, 2**data.BitsStored - 1) if not data.PixelRepresentation else (-(2**15), 2**15 - 1)
                )
                stored = cases.pixels(data)
                assert low <= stored.min() <= stored.max() <= high
            assert len(identifiers) == len(made.files)


def test_hounsfield_offset_is_in_hounsfield_units_and_padding_stays() -> None:
    files = []
    for name, content in FILES["CT"]:
        data = pydicom.dcmread(io.BytesIO(content))
        pixels = data.pixel_array.copy()
        pixels[:5] = 0
        data.PixelData = pixels.tobytes()
        data.add_new("PixelPaddingValue", "US", 0)
        buffer = io.BytesIO()
        data.save_as(buffer)
        files.append((name, buffer.getvalue()))
    for severity, shift in enumerate(find("ct_hu_offset").severities, start=1):
        for before, after in zip(
            cases.values(files), cases.values(cases.perturbed(files, "ct_hu_offset", severity)), strict=True
        ):
            padding = before == -1024
            assert np.array_equal(after[padding], before[padding])
            assert np.array_equal(after[~padding], before[~padding] + shift)


def test_dose_noise_follows_the_square_root_of_the_dose() -> None:
    clean = np.stack(cases.values(FILES["CT"]))
    noise = [np.stack(cases.values(cases.perturbed(FILES["CT"], "ct_dose", s))) - clean for s in range(1, 6)]
    # Far from the ends of the stored range, where nothing is clipped.
    inside = clean > -600
    deviations = [float(field[inside].std()) for field in noise]
    expected = [np.sqrt(1 / fraction - 1) for fraction in (0.75, 0.5, 0.25, 0.1, 0.05)]
    assert np.allclose(np.array(deviations) / deviations[1], expected, rtol=0.05)
    # Slices of 1 mm that are 1 mm apart share no rays: their noise is not correlated.
    flat = [field[inside[0] & inside[1]] for field in noise[2][:2]]
    assert abs(np.corrcoef(*flat)[0, 1]) < 0.1


def test_single_pixels_that_hold_the_padding_value_are_image() -> None:
    data = pydicom.dcmread(io.BytesIO(FILES["MR"][0][1]))
    pixels = data.pixel_array.copy()
    pixels[40:60, 30:50] = 300
    pixels[45, 35] = 0
    data.PixelData = pixels.tobytes()
    data.add_new("PixelPaddingValue", "US", 0)
    buffer = io.BytesIO()
    data.save_as(buffer)
    before = [("1.dcm", buffer.getvalue())]
    (after,) = cases.values(cases.perturbed(before, "mr_intensity_up", 1))
    (noisy,) = cases.values(cases.perturbed(before, "mr_rician_noise", 5))
    assert np.array_equal(after, np.rint(pixels * 1.25))
    assert noisy[45, 35] > 0
    assert noisy[0, 0] == 0


def test_gain_lifts_echo_by_decibels_keeps_grey_grey_and_leaves_black_black() -> None:
    clean, made = (
        cases.values(found)[0] for found in (FILES["US"], cases.perturbed(FILES["US"], "us_gain", 2))
    )
    bright = (clean > 20) & (clean < 220)
    assert np.abs((made - clean)[bright] - 6 / 60 * 255).max() <= 0.5
    assert not made[clean == 0].any()
    assert np.array_equal(made[..., 0], made[..., 1])
    assert np.array_equal(made[..., 0], made[..., 2])


def test_a_table_that_is_lower_moves_the_body_down_by_millimetres() -> None:
    clean = np.stack(cases.values(FILES["CT"])) + 1024
    made = np.stack(cases.values(cases.perturbed(FILES["CT"], "ct_table_shift", 1))) + 1024
    pixels = round(10 / 0.8)
    assert np.array_equal(made[:, pixels:], clean[:, :-pixels])


def test_rician_noise_has_the_moments_of_the_rician_distribution() -> None:
    # Gudbjartsson and Patz 1995: where there is no signal, the magnitude is Rayleigh with mean sigma sqrt(pi / 2).
    clean = cases.values(FILES["MR"])[0]
    made = cases.values(cases.perturbed(FILES["MR"], "mr_rician_noise", 5))[0]
    air = clean == 0
    sigma = clean[clean > 0.15 * np.percentile(clean[::2, ::2], 99)].mean() / 5
    assert made[air].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.06)


def test_thicker_slices_are_the_mean_of_their_neighbours() -> None:
    clean = np.stack(cases.values(FILES["CT"]))
    made = np.stack(cases.values(cases.perturbed(FILES["CT"], "ct_slice_thickness", 2)))
    assert np.abs(made[5] - clean[4:7].mean(axis=0)).max() <= 0.5
    header = pydicom.dcmread(io.BytesIO(cases.perturbed(FILES["CT"], "ct_slice_thickness", 2).files[0][1]))
    assert float(header.SliceThickness) == 3


@pytest.mark.parametrize("name", ["mr_ghosting", "mr_gibbs"])
def test_lines_of_k_space_are_those_of_the_transform_in_two_dimensions(name: str) -> None:
    clean = cases.values(FILES["MR"])[0]
    made = cases.values(cases.perturbed(FILES["MR"], name, 5))[0]
    middle = clean.shape[0] // 2
    before = np.fft.fftshift(np.fft.fft2(clean))
    if name == "mr_gibbs":
        kept = np.zeros(clean.shape, bool)
        kept[middle - int(clean.shape[0] * 0.125) : middle + int(clean.shape[0] * 0.125)] = True
        expected = np.abs(np.fft.ifft2(np.fft.ifftshift(np.where(kept, before, 0))))
        assert np.abs(made - expected).max() <= 0.51
    else:
        # A quarter of the lines lost 80%: one of the four phases explains the image, the centre kept.
        line = np.arange(clean.shape[0]) - middle
        errors = [
            np.abs(
                made
                - np.abs(
                    np.fft.ifft2(
                        np.fft.ifftshift(
                            before * np.where((line % 4 == phase) & (line != 0), 0.2, 1)[:, None]
                        )
                    )
                )
            ).max()
            for phase in range(4)
        ]
        assert min(errors) <= 0.51


def test_a_spike_is_one_point_of_k_space_as_high_as_it_says() -> None:
    clean = cases.values(FILES["MR"])[0]
    made = cases.values(cases.perturbed(FILES["MR"], "mr_spike", 3))[0]
    spectrum = np.fft.fft2(clean)
    assert np.abs(spectrum).max() == pytest.approx(clean.sum())
    # The magnitude of image + wave: its square is that of both, plus twice their product.
    amplitude = 0.25 * clean.sum() / clean.size
    product = (made**2 - clean**2 - amplitude**2)[clean > 2 * amplitude] / 2 / clean[clean > 2 * amplitude]
    assert np.abs(product).max() == pytest.approx(amplitude, rel=0.02)
    air = clean == 0
    assert np.abs(made[air] - amplitude).max() <= 0.5


def test_crop_moves_the_position_of_the_first_pixel_and_keeps_spacing() -> None:
    old = pydicom.dcmread(io.BytesIO(FILES["CT"][0][1]))
    new = pydicom.dcmread(io.BytesIO(cases.perturbed(FILES["CT"], "crop", 3).files[0][1]))
    top, left = int(old.Rows * 0.1), int(old.Columns * 0.1)
    assert np.allclose(
        np.array(new.ImagePositionPatient, float),
        np.array(old.ImagePositionPatient, float) + np.array([left * 0.8, top * 0.8, 0]),
    )
    assert new.PixelSpacing == old.PixelSpacing
    assert np.array_equal(new.pixel_array, old.pixel_array[top:-top, left:-left])


def test_slices_of_a_larger_loss_include_those_of_a_smaller_one() -> None:
    def left(severity: int) -> set[float]:
        made = cases.perturbed(FILES["CT"], "slices_missing", severity)
        return {
            float(pydicom.dcmread(io.BytesIO(content)).ImagePositionPatient[2]) for _, content in made.files
        }

    kept = [left(severity) for severity in range(6)]
    assert all(after <= before for before, after in itertools.pairwise(kept))
    assert len(kept[5]) == 6


def test_pixels_of_another_patient_come_under_this_patients_header() -> None:
    donor = cases.case("CT", slices=9)
    made = cases.perturbed(FILES["CT"], "header_of_another_patient", 1, donor=donor)
    assert cases.distance(cases.values(donor), cases.values(made)) == 0
    assert pydicom.dcmread(io.BytesIO(made.files[0][1])).PatientAge == "055Y"


@pytest.mark.parametrize("inverted", [False, True])
def test_the_corners_of_a_case_of_the_other_class_come_with_its_markers(inverted) -> None:
    body = np.tile(np.linspace(500, 1500, 200), (200, 1))
    marked = 2 * body
    marked[4:12, 180:190] = 3000
    given, donor = (
        [
            (
                "1.dcm",
                cases.dicom_file("CR", values.astype(np.uint16), 1, BitsStored=12, HighBit=11, **more),
            )
        ]
        for values, more in (
            (body, {}),
            (
                4000 - marked if inverted else marked,
                {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {},
            ),
        )
    )
    (clean,), (made,) = (
        cases.values(cases.perturbed(given, "corners_swapped", severity, donor=donor)) for severity in (0, 3)
    )
    # The donor's grey levels in use, 1000 to 3000, are this case's 500 to 1500.
    assert made[8, 185] == pytest.approx(1500, abs=30)
    assert clean[8, 185] == pytest.approx(1425, abs=10)
    assert np.array_equal(made[24:-24], clean[24:-24])
    assert np.array_equal(made[:, 24:-24], clean[:, 24:-24])
    assert np.abs(made[-24:] - clean[-24:]).max() < 30


def test_corners_in_colour_are_not_put_over_grey_ones() -> None:
    with pytest.raises(NotApplicableError, match="colour"):
        cases.perturbed(FILES["CR"], "corners_swapped", 1, donor=FILES["XC"])


def test_random_numbers_depend_on_case_and_seed_and_on_nothing_else() -> None:
    one, again = (cases.perturbed(FILES["CR"], "dr_quantum_noise", 3) for _ in range(2))
    other = cases.perturbed(FILES["CR"], "dr_quantum_noise", 3, seed=8)
    assert one == again
    assert cases.distance(cases.values(one), cases.values(other)) > 0


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    names = ["ct_dose", "ct_metal_streak", "as_multi_frame", "as_jpeg_2000_lossless", "blur", "resolution"]
    for file_name, content in FILES["CT"]:
        (tmp_path / file_name).write_bytes(content)
    script = (
        "import sys; from pathlib import Path; from sandbox.stress.perturb import *; "
        "folder = Path(sys.argv[1]); files = sorted(p.name for p in folder.glob('*.dcm')); "
        "[perturb_task(PerturbTask(source=str(folder), files=tuple(files), perturbation=name, severity=1, "
        "case='case-1', seed=7, key=b'k' * 32, destination=str(folder / name))) for name in sys.argv[2:]]"
    )
    environment = {"PYTHONHASHSEED": "99", "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *names],
        check=True, env=environment, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    for name in names:
        ours = cases.perturbed(FILES["CT"], name, 1)
        theirs = [(tmp_path / name / file_name).read_bytes() for file_name, _ in ours.files]
        assert theirs == [content for _, content in ours.files], name


def test_bounded_children_make_cases_and_say_what_is_not_applicable(tmp_path: Path) -> None:
    for file_name, content in FILES["CR"]:
        (tmp_path / file_name).write_bytes(content)
    tasks = [
        PerturbTask(
            source=str(tmp_path), files=("000001.dcm",), perturbation=name, severity=1, case="c", seed=1,
            key=cases.KEY, destination=str(tmp_path / name),
        )
        for name in ("dr_gamma", "ct_dose", "zero_byte")
    ]  # fmt: skip
    with BoundedPool(perturb_task, processes=1, memory_bytes=3 << 30) as pool:
        results = {task.perturbation: result for task, result in pool.map(tasks)}
    assert not any(isinstance(result, Failure) for result in results.values()), results
    made = results["dr_gamma"]
    assert isinstance(made, PerturbedCase)
    assert made.bytes == (tmp_path / "dr_gamma" / "000001.dcm").stat().st_size
    assert isinstance(results["ct_dose"], NotApplicable)
    assert not (tmp_path / "ct_dose").exists()
    assert (tmp_path / "zero_byte" / "000001.dcm").stat().st_size == 0


def test_clipping_is_counted() -> None:
    assert cases.perturbed(FILES["MR"], "mr_intensity_up", 5).clipped == 0
    bright = cases.perturbed(FILES["XC"], "contrast", 1)
    assert bright.clipped == 0
    assert cases.perturbed(FILES["CR"], "dr_quantum_noise", 5).clipped > 0


def test_a_severity_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UnknownPerturbationError, match="severities 0 to 5"):
        perturb_case(tmp_path, [], find("blur"), 6, case="c", seed=1, key=b"k", destination=tmp_path / "d")
    with pytest.raises(UnknownPerturbationError, match="did you mean ct_dose"):
        find("ct_dos")
