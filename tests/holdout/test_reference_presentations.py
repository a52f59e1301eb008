"""Graphics of presentation states, and key object selections: objects that highdicom writes, and real ones."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from highdicom.pr import GraphicAnnotation, GraphicLayer, GraphicObject, GrayscaleSoftcopyPresentationState
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from holdout.image_grid import read_grid, read_instances, without_place
from holdout.image_reading import ImageDefect
from holdout.object_reading import opened
from holdout.reference_forms import KeyObjectsForm, PresentationForm
from holdout.reference_keys import referenced_as
from holdout.reference_presentations import presented_boxes, presented_mask
from tests.holdout import truth_objects as made

ZOO = Path(__file__).parents[3] / "shared/data/dicom-zoo"
BOX = [(3.0, 4.0), (9.0, 4.0), (9.0, 11.0), (3.0, 11.0), (3.0, 4.0)]


def form(layer=None):
    return PresentationForm(form="presentation_state", layer=layer)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    found = made.ct_series(slices=2)
    return found, made.save_all(tmp_path_factory.mktemp("images"), found)


def presented(image, graphics, units="PIXEL"):
    layers = {
        name: GraphicLayer(layer_name=name, order=index) for index, name in enumerate(("ONE", "TWO"), 1)
    }
    return GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=generate_uid(),
        series_number=3,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
        manufacturer_model_name="test",
        software_versions="1",
        device_serial_number="1",
        content_label="TRUTH",
        graphic_layers=list(layers.values()),
        graphic_annotations=[
            GraphicAnnotation(
                referenced_images=[image],
                graphic_layer=layers[layer],
                graphic_objects=[
                    GraphicObject(
                        graphic_type=kind,
                        graphic_data=np.array(points, dtype=float),
                        units=units,
                        is_filled=None,
                    )
                ],
            )
            for layer, kind, points in graphics
        ],
    )


def test_graphics_in_pixels(images):
    (first, _), paths = images
    dataset = presented(
        first,
        [
            ("ONE", "POLYLINE", BOX),
            ("TWO", "POINT", [(15.5, 6.5)]),
            ("TWO", "CIRCLE", [(18.0, 14.0), (18.0, 17.0)]),
            ("TWO", "ELLIPSE", [(1, 17), (7, 17), (4, 16), (4, 18)]),
        ],
    )
    dataset = opened(made.content_of(dataset))
    own, other = (read_grid([path]) for path in paths)
    assert np.allclose(
        presented_boxes(dataset, own, form()),
        [(3, 4, 9, 11), (15, 6, 16, 7), (15, 11, 21, 17), (1, 16, 7, 18)],
    )
    assert presented_boxes(dataset, own, form("ONE")) == ((3, 4, 9, 11),)
    assert presented_boxes(dataset, own, form("THREE")) is None
    assert presented_boxes(dataset, other, form()) is None
    mask = presented_mask(dataset, own, form("ONE")).mask
    expected = np.zeros((1, 20, 24), dtype=bool)
    expected[0, 4:11, 3:9] = True
    assert np.array_equal(mask, expected)
    with pytest.raises(ImageDefect, match="encloses nothing"):
        presented_mask(dataset, own, form("TWO"))
    with pytest.raises(ImageDefect, match="--unit image"):
        presented_boxes(dataset, read_grid(paths), form())


def test_graphics_in_fractions_of_the_displayed_area(images):
    (first, _), paths = images
    dataset = presented(first, [("ONE", "POINT", [(0.5, 0.25)])], units="DISPLAY")
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [5, 3], [14, 18]
    area.PresentationSizeMode = "SCALE TO FIT"
    dataset.DisplayedAreaSelectionSequence = Sequence([area])
    grid = read_grid(paths[:1])
    # Columns 4 to 14 and rows 2 to 18 from the left upper corner: the point is at 9, 6.
    assert presented_boxes(opened(made.content_of(dataset)), grid, form()) == ((8.5, 5.5, 9.5, 6.5),)
    dataset.ImageRotation, dataset.ImageHorizontalFlip = 90, "N"
    with pytest.raises(ImageDefect, match="turned"):
        presented_boxes(opened(made.content_of(dataset)), grid, form())


def test_a_real_presentation_state():
    folder = ZOO / "linked/weasis-gsps"
    if not folder.is_dir():
        pytest.skip("../shared/data/dicom-zoo is missing")
    dataset = opened((folder / "prLUTs.dcm").read_bytes())
    grid = read_grid([folder / "imageForPrLUTs.dcm"])
    drawn = sum(
        len(item.get("GraphicObjectSequence", [])) for item in dataset.get("GraphicAnnotationSequence", [])
    )
    found = presented_boxes(dataset, grid, form())
    assert len(found or ()) == drawn


def key_objects(images, title):
    content = highdicom.ko.KeyObjectSelection(document_title=title, referenced_objects=images)
    return highdicom.ko.KeyObjectSelectionDocument(
        evidence=images,
        content=content,
        series_instance_uid=generate_uid(),
        series_number=4,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="test",
    )


def test_key_objects_select_images_under_a_title(images):
    (first, _), paths = images
    dataset = opened(made.content_of(key_objects([first], codes.DCM.OfInterest)))
    wanted = KeyObjectsForm(form="key_objects", title="DCM:113000")
    assert referenced_as(dataset, read_instances(paths[:1]), wanted) == "1"
    assert referenced_as(dataset, read_instances(paths), wanted) == "1"
    assert referenced_as(dataset, read_instances(paths[1:]), wanted) is None
    rejected = KeyObjectsForm(form="key_objects", title="DCM:113001")
    assert referenced_as(dataset, read_instances(paths[:1]), rejected) is None
    with pytest.raises(ImageDefect):
        referenced_as(opened(made.content_of(first)), read_instances(paths[:1]), wanted)


def test_a_real_selection_is_read_without_its_template(images):
    path = ZOO / "KO/130_kos.dcm"
    if not path.is_file():
        pytest.skip("../shared/data/dicom-zoo is missing")
    dataset = opened(path.read_bytes())
    title = dataset.ConceptNameCodeSequence[0]
    selected = [
        reference.ReferencedSOPInstanceUID
        for item in dataset.ContentSequence
        for reference in item.get("ReferencedSOPSequence", [])
    ]
    assert selected
    wanted = KeyObjectsForm(form="key_objects", title=f"{title.CodingSchemeDesignator}:{title.CodeValue}")
    assert referenced_as(dataset, without_place(selected[:1]), wanted) == "1"
    assert referenced_as(dataset, read_instances(images[1]), wanted) is None
