"""Outlines against a crossing count point by point, and against matplotlib's paths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from holdout.image_reading import ImageDefect
from holdout.outlines import Outline, box_of, filled, united

ROWS, COLUMNS = 13, 17
CENTRES = np.array([(c + 0.5, r + 0.5) for r in range(ROWS) for c in range(COLUMNS)])


def by_points(polygons):
    """Even-odd rule, point by point: how many edges lie to the left of a centre."""
    inside = []
    for x, y in CENTRES:
        count = 0
        for polygon in polygons:
            for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                if min(y0, y1) <= y < max(y0, y1):
                    count += x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
        inside.append(count % 2 == 1)
    return np.reshape(inside, (ROWS, COLUMNS))


corners = st.lists(
    st.tuples(st.floats(-5, 22, width=32), st.floats(-5, 18, width=32)), min_size=3, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(st.lists(corners, min_size=1, max_size=3))
def test_any_polygons_fill_by_the_even_odd_rule(drawn):
    polygons = [np.array(each, dtype=np.float64) for each in drawn]
    assert np.array_equal(filled(polygons, ROWS, COLUMNS), by_points(polygons))


@pytest.mark.parametrize("seed", range(20))
def test_simple_polygons_fill_as_matplotlib_has_them(seed):
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 9))
    polygon = (8, 6) + np.column_stack((np.cos(angles), np.sin(angles))) * random.uniform(2, 9, (9, 1))
    inside = Polygon(polygon).contains_points(CENTRES).reshape(ROWS, COLUMNS)
    assert np.array_equal(filled([polygon], ROWS, COLUMNS), inside)


def test_neighbours_share_no_element_and_leave_none_out():
    left = np.array([(0, 0), (8.5, 0), (8.5, 13), (0, 13)])
    right = np.array([(8.5, 0), (17, 0), (17, 13), (8.5, 13)])
    both = filled([left], ROWS, COLUMNS).astype(int) + filled([right], ROWS, COLUMNS)
    assert (both == 1).all()


def test_holes_unions_and_keyholes():
    outer = np.array([(2, 2), (12, 2), (12, 11), (2, 11)])
    inner = np.array([(5, 5), (8, 5), (8, 8), (5, 8)])
    expected = np.zeros((ROWS, COLUMNS), dtype=bool)
    expected[2:11, 2:12] = True
    assert np.array_equal(united([outer, inner], ROWS, COLUMNS), expected)
    expected[5:8, 5:8] = False
    assert np.array_equal(filled([outer, inner], ROWS, COLUMNS), expected)
    keyhole = np.vstack((outer, outer[:1], inner, inner[:1]))
    assert np.array_equal(filled([keyhole], ROWS, COLUMNS), expected)


def test_circles_and_ellipses_have_their_area_and_box():
    circle = Outline(kind="CIRCLE", points=np.array([(60.0, 50.0), (60.0, 20.0)]))
    mask = filled([circle.corners], 100, 120)
    rows, columns = np.mgrid[:100, :120] + 0.5
    assert np.array_equal(mask, (rows - 50) ** 2 + (columns - 60) ** 2 < 30**2)
    assert box_of(circle, 100, 120) == pytest.approx((30, 20, 90, 80))
    ellipse = Outline(
        kind="ELLIPSE", points=np.array([(20.0, 50.0), (100.0, 50.0), (60.0, 30.0), (60.0, 70.0)])
    )
    mask = filled([ellipse.corners], 100, 120)
    assert np.array_equal(mask, ((rows - 50) / 20) ** 2 + ((columns - 60) / 40) ** 2 < 1)
    assert box_of(ellipse, 100, 120) == pytest.approx((20, 30, 100, 70))


def test_points_and_lines_get_the_width_of_a_pixel_within_the_image():
    def box(kind, points):
        return box_of(Outline(kind=kind, points=np.array(points, dtype=float)), 10, 20)

    assert box("POINT", [(5, 6)]) == (4.5, 5.5, 5.5, 6.5)
    assert box("POINT", [(0, 6)]) == (0, 5.5, 0.5, 6.5)
    assert box("POINT", [(25, 6)]) is None
    assert box("POLYLINE", [(2, 3), (8, 3)]) == (2, 2.5, 8, 3.5)
    assert box("POLYLINE", [(2, 3), (30, 7)]) == (2, 3, 20, 7)


@pytest.mark.parametrize(
    ("kind", "points"), [("POINT", [(1, 2), (3, 4)]), ("CIRCLE", [(1, 2)]), ("POLYGON", [(np.nan, 1)])]
)
def test_graphics_that_are_none_are_refused(kind, points):
    with pytest.raises(ImageDefect):
        Outline(kind=kind, points=np.array(points, dtype=float))
