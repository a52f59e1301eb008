"""A protocol's section ``release`` decides how its evaluations answer, from registration to the request."""

import pytest
import yaml

from sandbox.commands.main import main
from sandbox.errors import ProtocolError, ReleaseRefusedError
from sandbox.plan import protocols
from sandbox.plan.protocol import load_protocol
from sandbox.release import workflow
from sandbox.reuse.errors import ReuseRefusedError
from tests.sandbox.release.examined import PROTOCOL, evaluate, make_site


@pytest.fixture
def site(tmp_path, monkeypatch):
    # These evaluations have no locked hold-out behind them; versions are told apart in tests/end_to_end.
    monkeypatch.setattr("sandbox.release.draft.holdouts.open_holdout", lambda *_: None)
    monkeypatch.setattr("sandbox.release.draft.check_versions", lambda *_: None)
    monkeypatch.delenv("PROCTOR_ACTOR", raising=False)
    monkeypatch.delenv("PROCTOR_ACTOR_KEY", raising=False)
    monkeypatch.setenv("PROCTOR_HOME", str(tmp_path / "home"))
    return make_site(tmp_path / "home")


def written(folder, **release):
    path = folder / "with-release.yaml"
    path.write_text(PROTOCOL + yaml.safe_dump({"release": release}))
    return path


def mechanism_of(site, release):
    return yaml.safe_load((site.release(release) / "request.json").read_text())["mechanism"]


def test_the_request_follows_the_protocol_and_may_not_ask_for_more(site, tmp_path):
    protocols.register(site, written(tmp_path, mechanism="ladder", ladder={"step": "0.05"}))
    evaluation = evaluate(site, "acme")
    told = workflow.request(site, evaluation)
    assert mechanism_of(site, told.release) == "ladder"
    field = (site.release(told.release) / "release.json").read_text()
    assert '"grid": "0.05"' in field
    with pytest.raises(ReuseRefusedError, match="full tells more"):
        workflow.request(site, evaluation, mechanism="full")


def test_a_mechanism_below_that_costs_more_is_refused(site, tmp_path, monkeypatch):
    """Eleven steps of a coarse ladder are 3.6 bits; one noisy value on a fine grid is 6.7."""
    from sandbox.release import answers, draft

    protocols.register(site, written(tmp_path, mechanism="ladder", ladder={"step": "0.1"}))
    evaluation = evaluate(site, "acme")
    monkeypatch.setattr(draft, "find_claims", lambda *_: type("R", (), {"claims": None}))
    monkeypatch.setattr(answers, "_thresholdout", lambda _: pytest.fail("it must not be asked"))
    with pytest.raises(ReleaseRefusedError, match=r"thresholdout would cost 6\.7 bits.*costs 3\.6"):
        workflow.request(site, evaluation, mechanism="thresholdout")


def test_what_the_policy_does_not_allow_is_refused_at_registration(site, tmp_path, capsys):
    policy = yaml.safe_load(site.policy_path.read_text())
    policy["reuse"] |= {"mechanisms": ["claim", "ladder"], "mechanism": "ladder"}
    site.policy_path.write_text(yaml.safe_dump(policy))
    path = written(tmp_path, mechanism="full")
    assert main(["protocol", "register", str(path)]) == 3
    assert "which this institution's policy does not allow" in capsys.readouterr().err
    assert main(["protocol", "register", str(written(tmp_path, mechanism="claim"))]) == 0


def test_a_policy_made_stricter_after_registration_refuses_the_release(site, tmp_path):
    protocols.register(site, written(tmp_path, mechanism="full"))
    evaluation = evaluate(site, "acme")
    policy = yaml.safe_load(site.policy_path.read_text())
    policy["reuse"] |= {"mechanisms": ["ladder"], "mechanism": "ladder"}
    site.policy_path.write_text(yaml.safe_dump(policy))
    with pytest.raises(ReuseRefusedError, match="does not allow"):
        workflow.request(site, evaluation)


def test_the_section_is_part_of_the_digest_and_its_absence_changes_nothing(tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(PROTOCOL)
    digests = {load_protocol(plain).digest}
    assert "release" not in load_protocol(plain).document
    for release in (
        {"mechanism": "full"},
        {"mechanism": "ladder"},
        {"mechanism": "ladder", "ladder": {"step": "0.1"}},
    ):
        digests.add(load_protocol(written(tmp_path, **release)).digest)
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ({"mechanism": "lader"}, "release.mechanism"),
        ({"mechanism": "claim", "ladder": {"step": "0.1"}}, "belongs to the mechanism ladder"),
        ({"mechanism": "ladder", "ladder": {"step": "2"}}, "release.ladder.step"),
        ({"mechanism": "ladder", "laddder": {}}, "laddder"),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, release, said):
    with pytest.raises(ProtocolError, match=said):
        load_protocol(written(tmp_path, **release))


def test_a_task_without_scores_has_no_ladder(tmp_path):
    text = PROTOCOL.replace("operating_points: [{name: screening, threshold: 0.5}]\n", "")
    path = tmp_path / "p.yaml"
    path.write_text(text + "release: {mechanism: ladder}\n")
    with pytest.raises(ProtocolError, match="needs an operating point"):
        load_protocol(path)


def test_a_policys_default_must_be_allowed(site):
    from sandbox.errors import PolicyError
    from sandbox.institution.policy import load_policy

    policy = yaml.safe_load(site.policy_path.read_text())
    policy["reuse"]["mechanisms"] = ["claim"]
    site.policy_path.write_text(yaml.safe_dump(policy))
    with pytest.raises(PolicyError, match=r"reuse\.mechanisms"):
        load_policy(site.policy_path)
