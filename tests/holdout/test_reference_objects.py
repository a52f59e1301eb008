"""Truth from objects, from the ingested folder to the locked hold-out."""

import csv

import nibabel
import numpy as np
import pytest

from holdout import ingest
from holdout.boxes import true_boxes
from holdout.errors import LockRefusedError, ReferenceStandardError
from holdout.index import read_index
from holdout.lock import lock, open_reference
from holdout.mask_runs import decode, true_mask
from holdout.reference import load
from tests.holdout import truth_objects as made

KEY = bytes(range(32))


def blob(seed, shape=(5, 20, 24)):
    return np.random.default_rng(seed).random(shape) < 0.3


@pytest.fixture
def folder(tmp_path):
    """Three patients with a series each; the first two have a segmentation of two segments."""
    series = {name: made.ct_series(name, seed=number) for number, name in enumerate(("P1", "P2", "P3"))}
    masks = {}
    for number, (name, images) in enumerate(series.items()):
        made.save_all(tmp_path / "data" / name, images)
        if name != "P3":
            both = np.stack([blob(2 * number), blob(2 * number + 1)], axis=-1)
            masks[name] = both
            made.save_all(
                tmp_path / "data" / "objects",
                [made.segmentation(images, both.astype(np.uint8), labels=("a", "b"))],
            )
    return tmp_path, series, masks


def index_of(folder):
    ingest.ingest(folder / "data", folder / "index.parquet")
    return read_index(folder / "index.parquet")


def declare(folder, labels, table=""):
    (folder / "reference.yaml").write_text(
        f"proctor: reference/1\n{table}labels:\n  {labels}\nmethod: {{value: consensus}}\n"
    )
    return folder / "reference.yaml"


def uid(images):
    return images[0].SeriesInstanceUID


def mask_of(truth, label):
    return decode(true_mask(truth.labels[label]).runs)


def test_objects_are_found_by_what_they_reference(folder):
    place, series, masks = folder
    index = index_of(place)
    path = declare(
        place,
        "x: {mask: true, read: {form: segmentation, segment: {label: a}}}\n"
        "  y: {mask: true, read: {form: segmentation, segment: {number: 2}, absent: negative}}",
    )
    found = load(path, index, unit="series", source=place / "data")
    for name, both in masks.items():
        truth = found.by_case[uid(series[name])]
        assert np.array_equal(mask_of(truth, "x"), both[..., 0])
        assert np.array_equal(mask_of(truth, "y"), both[..., 1])
        assert true_mask(truth.labels["x"]).spacing == pytest.approx((2.5, 0.8, 0.7))
        assert truth.method == "consensus"
        assert len(truth.objects) == 1
    silent = found.by_case[uid(series["P3"])]
    assert silent.labels["x"] is None
    assert mask_of(silent, "y").shape == (5, 20, 24)
    assert not mask_of(silent, "y").any()
    assert found.notes == ("y: 1 of 3 cases are negative because no object says otherwise",)
    assert len(found.objects) == 2
    assert set(found.by_case) == {uid(images) for images in series.values()}


def test_images_of_a_series_as_cases_take_their_slices(folder):
    place, series, masks = folder
    path = declare(place, "x: {mask: true, read: {form: segmentation, segment: {label: b}}}")
    found = load(path, index_of(place), unit="image", source=place / "data")
    for name, both in masks.items():
        for slice_, image in enumerate(series[name]):
            truth = found.by_case[image.SOPInstanceUID]
            assert np.array_equal(mask_of(truth, "x"), both[slice_, ..., 1])


def test_truth_is_sealed_with_its_objects_hash_and_shown_to_nobody(folder, tmp_path):
    place, *_ = folder
    index = index_of(place)
    path = declare(place, "x: {mask: true, read: {form: segmentation, segment: {label: a}}}")
    for unit in ("series", "study"):
        reference = load(path, index, unit=unit, source=place / "data")
        locked = lock(
            place / "data",
            index,
            reference,
            tmp_path / unit,
            name="n",
            version="1",
            dataset_key=KEY,
            reference_key=KEY,
            protect_source=False,
        )
        assert locked.cases.num_rows == 2
        shown = [name for files in locked.cases["files"].to_pylist() for name in files]
        assert not any("objects" in name for name in shown)
        assert len(shown) == 10
        assert ("reference_object", 2) in [(code, files) for code, _, files in locked.flow]
        opened = open_reference(locked, KEY)
        hashes = dict(zip(index["path"].to_pylist(), index["sha256"].to_pylist(), strict=True))
        assert set(opened["reference.objects"].to_pylist()) == {
            value for name, value in hashes.items() if "objects" in name
        }
        assert opened["reference.resampled"].to_pylist() == ["no", "no"]


def test_a_mask_over_a_slice_that_is_excluded_refuses_the_lock(folder, tmp_path):
    place, series, _ = folder
    index = index_of(place)
    path = declare(place, "x: {mask: true, read: {form: segmentation, segment: {label: a}}}")
    reference = load(path, index, unit="series", source=place / "data")
    slice_ = f"P1/{series['P1'][2].SOPInstanceUID}.dcm"
    with pytest.raises(LockRefusedError, match="mask over slices that are excluded"):
        lock(
            place / "data",
            index,
            reference,
            tmp_path / "locked",
            name="n",
            version="1",
            dataset_key=KEY,
            reference_key=KEY,
            exclusions={slice_: "blurred"},
            protect_source=False,
        )
    assert not (tmp_path / "locked").exists()


def test_named_files_stay_within_the_two_folders(folder):
    place, series, _ = folder
    index = index_of(place)
    images = series["P3"]
    lps = np.diag([0.7, 0.8, 2.5, 1.0])
    lps[:3, 3] = (-10, -20, 30)
    image = nibabel.Nifti1Image(blob(9).astype(np.uint8).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ lps)
    image.set_sform(image.affine, code=1)
    for target in (place / "beside.nii", place / "data" / "below.nii", place.parent / "outside.nii"):
        target.write_bytes(image.to_bytes())
    (place / "data" / "link.nii").symlink_to(place.parent / "outside.nii")
    table = "table: t.csv\nkey: {series_instance_uid: uid}\n"
    path = declare(place, "x: {mask: true, column: file, read: {form: nifti}}", table)

    def named(name):
        with (place / "t.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("uid", "file"), (uid(images), name)])
        return load(path, index, unit="series", source=place / "data")

    for name in ("beside.nii", "below.nii"):
        truth = named(name).by_case[uid(images)]
        assert np.array_equal(mask_of(truth, "x"), blob(9))
    for name, why in (
        ("../outside.nii", "leads out"),
        ("/etc/passwd", "leads out"),
        ("link.nii", "is a link"),
        ("no.nii", "no such file"),
    ):
        with pytest.raises(ReferenceStandardError, match=why):
            named(name)


def test_resampled_cases_are_counted(folder):
    place, series, _ = folder
    fine = made.ct_series("P3", seed=2, slices=10, gap=1.25)
    for image in fine:
        image.FrameOfReferenceUID = series["P3"][0].FrameOfReferenceUID
    segmented = made.segmentation(fine, blob(4, (10, 20, 24)), labels=("a",))
    made.save_all(place / "data" / "objects", [segmented])
    index = index_of(place)
    read = "x: {mask: true, read: {form: segmentation, segment: {label: a}, on_mismatch: MODE}}"
    with pytest.raises(ReferenceStandardError, match="another grid"):
        load(declare(place, read.replace("MODE", "refuse")), index, unit="series", source=place / "data")
    found = load(
        declare(place, read.replace("MODE", "resample")), index, unit="series", source=place / "data"
    )
    assert [uid(series["P3"])] == [case for case, truth in found.by_case.items() if truth.resampled]
    assert "x: 1 of 3 cases have a mask that lay on another grid" in found.notes[0]


def test_objects_that_contradict_are_named(folder):
    place, series, _ = folder
    again = made.segmentation(series["P1"], blob(8).astype(np.uint8), labels=("a",))
    stranger = made.segmentation(series["P2"], blob(8).astype(np.uint8), labels=("c",))
    stranger.PatientID = "P9"
    paths = made.save_all(place / "data" / "objects", [again, stranger])
    path = declare(place, "x: {mask: true, read: {form: segmentation, segment: {label: a}}}")
    with pytest.raises(ReferenceStandardError) as refused:
        load(path, index_of(place), unit="series", source=place / "data")
    assert any("2 objects speak of one case" in problem for problem in refused.value.problems)
    assert any("another patient" in problem for problem in refused.value.problems)
    paths[0].unlink()
    made.save_all(place / "data" / "objects", [])
    index = index_of(place)
    paths[1].write_bytes(paths[1].read_bytes()[:3000])
    with pytest.raises(ReferenceStandardError, match=r"changed since|reading it failed"):
        load(path, index, unit="series", source=place / "data")


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("{mask: true, read: {form: nifti}}", "name it in a column"),
        ("{number: true, read: {form: segmentation}}", "declare mask: true"),
        ("{mask: true, read: {form: segmentation, threshold: 0.5}}", "go together"),
        ("{mask: true, read: {form: segmentation, segment: {}}}", "exactly one of number, label, property"),
        ("{mask: true, read: {form: painting}}", "form"),
        ("{boxes: true, read: {form: report, measurement: 'SCT:1', unit: mm}}", "declare number: true"),
        ("{number: true, read: {form: report, measurement: 'SCT:1'}}", "without its unit"),
        ("{positive: [x], negative: [y], read: {form: key_objects, title: 'DCM:1'}}", "no kind of label"),
        ("{column: c, mask: true, read: {form: nifti}}", "no table"),
        ("{mask: true}", "give a column"),
    ],
)
def test_declarations_that_cannot_be_meant(tmp_path, label, why):
    with pytest.raises(ReferenceStandardError, match=why):
        load(declare(tmp_path, f"x: {label}"), None)


def test_every_other_form_goes_the_same_way(tmp_path):
    from pydicom.sr.codedict import codes

    from tests.holdout.test_reference_presentations import key_objects, presented
    from tests.holdout.test_reference_reports import planar, region, report, sr

    series = {name: made.ct_series(name, seed=number, slices=1) for number, name in enumerate(("P1", "P2"))}
    (first,), (second,) = series.values()
    square = [(3.0, 4.0), (9.0, 4.0), (9.0, 11.0), (3.0, 11.0), (3.0, 4.0)]
    made.save_all(tmp_path / "data", [first, second])
    made.save_all(
        tmp_path / "data" / "objects",
        [
            report(
                [first],
                [planar(region(first, sr.GraphicTypeValues.POLYLINE, square), length=6.5, grade="G2")],
            ),
            made.structure_set(
                [second],
                {
                    "lesion": [("CLOSED_PLANAR", made.in_patient(second, square[:-1]))],
                    "spots": [("POINT", made.in_patient(second, [(5.5, 5.5)]))],
                },
            ),
            presented(second, [("ONE", "POLYLINE", square)]),
            key_objects([first], codes.DCM.OfInterest),
        ],
    )
    path = declare(
        tmp_path,
        "nodule: {boxes: true, read: {form: report, absent: negative}}\n"
        "  length: {number: true, read: {form: report, measurement: 'SCT:103339001', unit: mm}}\n"
        "  high: {positive: [high], negative: [low], read: {form: report, evaluation: '99LOCAL:GRADE', "
        "answers: {low: ['99LOCAL:G1'], high: ['99LOCAL:G2']}}}\n"
        "  lesion: {mask: true, read: {form: structure_set, roi: {name: lesion}}}\n"
        "  spots: {boxes: true, read: {form: structure_set, roi: {name: spots}}}\n"
        "  drawn: {boxes: true, read: {form: presentation_state}}\n"
        "  key: {read: {form: key_objects, title: 'DCM:113000', absent: negative}}",
    )
    found = load(path, index_of(tmp_path), source=tmp_path / "data")
    one, two = (found.by_case[image.SOPInstanceUID] for image in (first, second))
    box = '{"boxes":[[3.0,4.0,9.0,11.0]]}'
    assert one.labels == {
        "nodule": box, "length": "6.5", "high": "1", "lesion": None, "spots": None, "drawn": None, "key": "1"
    }  # fmt: skip
    mask = np.zeros((20, 24), dtype=bool)
    mask[4:11, 3:9] = True
    assert np.array_equal(mask_of(two, "lesion"), mask)
    assert true_mask(two.labels["lesion"]).spacing == (0.8, 0.7)
    assert {name: two.labels[name] for name in ("nodule", "length", "high", "drawn", "key")} == {
        "nodule": '{"boxes":[]}', "length": None, "high": None, "drawn": box, "key": "0"
    }  # fmt: skip
    ((left, top, right, bottom),) = true_boxes(two.labels["spots"])
    assert np.allclose((left, top, right, bottom), (5, 5, 6, 6), atol=1e-3)
    assert found.binary == ("high", "key")
    assert len(found.objects) == 4
    # Without the folder nothing of them is truth, and nothing is read.
    assert not any(truth.labelled for truth in load(path, index_of(tmp_path)).by_case.values())
    study = declare(
        tmp_path,
        "length: {number: true, read: {form: report, measurement: 'SCT:103339001', unit: mm}}\n"
        "  key: {read: {form: key_objects, title: 'DCM:113000', absent: negative}}",
    )
    whole = load(study, index_of(tmp_path), source=tmp_path / "data", unit="study").by_case
    assert whole[first.StudyInstanceUID].labels == {"length": "6.5", "key": "1"}
    assert whole[second.StudyInstanceUID].labels == {"length": None, "key": "0"}
