"""The page on the reference standard: what it shows can be declared, and it names every form."""

import re
from pathlib import Path
from typing import get_args

import pytest

from holdout.errors import ReferenceStandardError
from holdout.reference_declaration import ReferenceDeclaration
from holdout.reference_forms import Reading
from holdout.yamlfile import read_yaml, validate

PAGE = (Path(__file__).parents[2] / "holdout" / "REFERENCE.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_is_a_declaration(tmp_path, number):
    (tmp_path / "reference.yaml").write_text(EXAMPLES[number])
    document = read_yaml(tmp_path / "reference.yaml", ReferenceStandardError, as_text=True)
    assert validate(document, ReferenceDeclaration, ReferenceStandardError).labels


def test_the_page_names_every_form_and_each_of_its_parts():
    assert len(EXAMPLES) == 2
    union, _ = get_args(Reading)
    for form in get_args(union):
        for name in get_args(form.model_fields["form"].annotation):
            assert f"`{name}`" in PAGE
        for part in set(form.model_fields) - {"form"}:
            assert f"{part}:" in PAGE, (form, part)
