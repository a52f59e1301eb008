"""From a run on a real engine to what its vendor may see: paid before the run, drawn from a pool, retired."""

import json

import pytest
import yaml

from sandbox.commands.main import main
from sandbox.evaluations.evaluation import evaluations
from sandbox.institution.workspace import open_ledger, open_workspace

pytestmark = pytest.mark.engine


@pytest.fixture
def people(site, monkeypatch):
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    for name in ("ada", "bea"):
        assert main(["-q", "actor", "add", name, "--role", "approver"]) == 0


def change_policy(site, **parts):
    path = site.home / "policy.yaml"
    policy = yaml.safe_load(path.read_text())
    for name, values in parts.items():
        policy[name] = {**policy.get(name, {}), **values}
    # A bare `off` reads as a truth value elsewhere.
    path.write_text(yaml.safe_dump({**policy, "mlflow": "off"}))


def evaluate(site, vendor, *more):
    arguments = ["--holdout", "cxr", "--submission", vendor, "--protocol", str(site.protocol), *more]
    return main(["-q", "evaluate", *arguments])


def of_vendor(site, vendor):
    (item,) = [each for each in evaluations(open_workspace(site.home)) if each.vendor == vendor]
    return item


def kinds(site):
    with open_ledger(open_workspace(site.home)) as ledger:
        return [each.kind for each in ledger.entries()]


def take_through(identifier):
    for name in ("ada", "bea"):
        assert main(["-q", "release", "review", identifier, "--as", name]) == 0
        assert main(["-q", "release", "approve", identifier, "--as", name]) == 0
    assert main(["-q", "release", "issue", identifier]) == 0


def test_a_result_reaches_its_vendor_only_through_a_release(site, people, admitted, capsys, tmp_path):
    admitted("perfect", site.labels)
    assert evaluate(site, "perfect") == 0
    item = of_vendor(site, "perfect")
    capsys.readouterr()
    assert main(["--json", "release", "request", item.id, "--field", "verdict"]) == 0
    identifier = json.loads(capsys.readouterr().out)["release"]
    take_through(identifier)
    assert main(["-q", "report", item.id, "--for", "vendor", "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Released result" in page
    assert ">met<" in page
    assert main(["-q", "ledger", "verify"]) == 0
    dossier = str(tmp_path / "dossier.zip")
    assert main(["-q", "dossier", item.id, "-o", dossier]) == 0
    capsys.readouterr()
    assert main(["verify", dossier]) == 0
    # The table breaks its lines where the terminal ends.
    told = " ".join(capsys.readouterr().out.split())
    assert "1 asked for, 1 issued; nobody approved a release of their own" in told


def test_an_evaluation_whose_release_cannot_be_paid_is_refused_before_any_case(
    site, people, admitted, capsys
):
    admitted("perfect", site.labels)
    change_policy(site, reuse={"bits_per_vendor": 20})
    assert evaluate(site, "perfect") == 3
    assert "are left of the budget" in capsys.readouterr().err
    assert "evaluation-started" not in kinds(site)
    assert "holdout-accessed" not in kinds(site)
    assert evaluate(site, "perfect", "--internal") == 0
    assert main(["release", "request", of_vendor(site, "perfect").id]) == 3
    assert "for the institution alone" in capsys.readouterr().err


def test_a_random_part_of_the_pool_answers_and_the_ledger_says_so(site, people, admitted):
    change_policy(site, reuse={"sampling": {"share": 0.5}})
    admitted("perfect", site.labels)
    assert evaluate(site, "perfect") == 0
    with open_ledger(open_workspace(site.home)) as ledger:
        (drawn,) = ledger.find(kind="holdout-drawn")
        (accessed,) = ledger.find(kind="holdout-accessed")
    assert drawn.index < accessed.index
    assert drawn.detail["cases"] == accessed.detail["cases"] < drawn.detail["pool"] == len(site.labels)


def test_a_retired_hold_out_answers_no_more(site, people, admitted, capsys):
    admitted("perfect", site.labels)
    assert main(["-q", "actor", "add", "olga", "--role", "operator"]) == 0
    assert main(["-q", "holdout", "retire", "cxr", "--reason", "worn", "--as", "olga"]) == 3
    assert main(["-q", "holdout", "retire", "cxr", "--reason", "worn"]) == 0
    assert evaluate(site, "perfect") == 3
    assert "was retired" in capsys.readouterr().err


def test_the_policy_retires_by_count_and_by_date(site, people, admitted, capsys):
    admitted("perfect", site.labels)
    change_policy(site, reuse={"retire": {"uses": 1, "date": None}})
    assert evaluate(site, "perfect") == 0
    capsys.readouterr()
    identifier = of_vendor(site, "perfect").id
    assert main(["--json", "release", "request", identifier, "--field", "verdict"]) == 0
    take_through(json.loads(capsys.readouterr().out)["release"])
    admitted("constant", dict.fromkeys(site.labels, 0.5))
    assert evaluate(site, "constant") == 3
    assert "was used 1 times" in capsys.readouterr().err
    change_policy(site, reuse={"retire": {"uses": None, "date": "2020-01-01"}})
    assert evaluate(site, "constant") == 3
    assert "from 2020-01-01 on" in capsys.readouterr().err
