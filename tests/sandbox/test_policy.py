"""The policy: the shipped default, its mistakes, and what it turns into for the runners."""

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from sandbox.errors import PolicyError
from sandbox.institution.policy import Policy, load_policy
from sandbox.plan.protocol import Protocol

DEFAULT = Path(__file__).resolve().parents[2] / "policies" / "default.yaml"


def load(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text("proctor: policy/1\nname: test\n" + text, encoding="utf-8")
    return load_policy(path)


def test_the_shipped_policy_says_the_defaults():
    shipped = load_policy(DEFAULT)
    silent = Policy(proctor="policy/1", name="default", description=shipped.description)
    assert shipped == silent
    assert shipped.digest == silent.digest


def test_a_protocol_may_lower_the_clocks_only(tmp_path):
    policy = load(tmp_path, "limits: {seconds_per_case: 20, seconds_per_run: 100}\n")
    task = {"kind": "binary", "target": "x", "unit": "image"}
    plan = Protocol(proctor="protocol/1", name="p", title="p", task=task)
    eager = plan.model_copy(update={"limits": plan.limits.model_copy(update={"seconds_per_case": 5.0})})
    greedy = plan.model_copy(update={"limits": plan.limits.model_copy(update={"seconds_per_case": 50.0})})
    assert policy.container_limits(eager).seconds_per_case == 5
    assert policy.container_limits(greedy).seconds_per_case == 20
    assert policy.container_limits(greedy).seconds_per_run == 100
    assert policy.container_limits().memory_bytes == 4 * 2**30


def test_a_line_is_as_long_as_the_masks_or_findings_that_a_protocol_asks_for():
    def plan(kind, output, **more):
        task = {"kind": kind, "target": "x", "unit": "image"}
        return Protocol(proctor="protocol/1", name="p", title="p", task=task, output=output, **more)

    policy, length = Policy(proctor="policy/1", name="default"), 64 * 1024
    assert policy.container_limits(plan("binary", {})).answer_bytes == length
    assert policy.container_limits(plan("segmentation", {"mask": {"runs": 100}})).answer_bytes == length
    runs = [10**9] * 100_000
    answer = json.dumps(
        {"case": "c" * 64, "answer": {"mask": {"shape": [65535, 65535, 65535], "runs": runs}}}
    )
    asked = plan("segmentation", {"mask": {"runs": len(runs)}})
    assert length < len(answer) <= policy.container_limits(asked).answer_bytes < 1.2 * len(answer)
    found = {"boxes": [0.1234567890123456] * 4 * 2000, "scores": [0.1234567890123456] * 2000}
    answer = json.dumps({"case": "c" * 64, "answer": {"findings": found}})
    asked = plan("detection", {"findings": {"most": 2000}})
    assert length < len(answer) <= policy.container_limits(asked).answer_bytes


def test_own_list_of_system_calls_unless_another_is_named(tmp_path):
    choose = lambda choice: load(tmp_path, f"isolation: {{seccomp_profile: {choice}}}\n")  # noqa: E731
    assert choose("null").posture(date(2026, 1, 1)).seccomp_profile is None
    assert choose("engine-default").posture(date(2026, 1, 1)).seccomp_profile == "engine-default"


def test_content_of_a_seccomp_profile_is_part_of_the_digest(tmp_path):
    profile, text = tmp_path / "calls.json", "isolation: {seccomp_profile: calls.json}\n"
    profile.write_text('{"defaultAction": "SCMP_ACT_ERRNO"}')
    first = load(tmp_path, text)
    assert first.isolation.seccomp_digest == "sha256:" + hashlib.sha256(profile.read_bytes()).hexdigest()
    profile.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    second = load(tmp_path, text)
    assert first.digest != second.digest
    # What was read is what is run, whatever becomes of the file after that.
    assert first.posture(date(2026, 1, 1)).seccomp_profile == '{"defaultAction": "SCMP_ACT_ERRNO"}'
    pinned = (
        f"isolation: {{seccomp_profile: calls.json, seccomp_digest: '{first.isolation.seccomp_digest}'}}\n"
    )
    with pytest.raises(PolicyError, match="the file was changed"):
        load(tmp_path, pinned)


def test_large_holdouts_may_be_sampled(tmp_path):
    policy = load(tmp_path, "verification: {after: sample, sample_above: 1 GiB, sample_files: 7}\n")
    assert policy.sampling(2**31, "before") is None
    assert policy.sampling(2**31, "after") == 7
    assert policy.sampling(2**20, "after") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits: {memory: 4}\n", r"policy\.yaml:3: limits\.memory: must be a size with its unit"),
        ("limits: {memory: 4 GB}\n", r"must be a size with its unit"),
        ("limits: {memory: 8 MiB}\n", r"limits\.memory: must be at least 16 MiB"),
        ("limits: {tmp: 8 GiB}\n", r"limits\.tmp: lives in memory with shm and output"),
        ("admission: {signature_keys: [nonsense]}\n", r"signature_keys\[0\]: is not a public key in PEM"),
        ("admission: {set_user_id: noted}\n", r"admission\.set_user_id"),
        ("run: {smoke: none}\n", r"run\.smoke"),
        ("limits: {cpus: 0}\n", r"limits\.cpus: must be greater than 0"),
        ("isolation: {user: '0:0'}\n", r"isolation\.user: must not be root"),
        ("isolation: {network: host}\n", r"isolation\.network: unknown key"),
        ("disclosure: {minimum_cells: 3}\n", r"did you mean `minimum_cell`\?"),
        ("isolation: {seccomp_profile: nowhere.json}\n", r"is no file with a seccomp profile in JSON"),
        ("isolation: {gpu: {}}\n", r"isolation\.gpu: needs devices \(ids\) or count"),
        ("isolation: {gpu: {devices: [all]}}\n", r"isolation\.gpu\.devices"),
        ("isolation: {waiver_keys: [nonsense]}\n", r"waiver_keys\[0\]: a verifier key must have the form"),
        ("engine: {version_floors: maybe}\n", r"engine\.version_floors"),
    ],
)
def test_mistakes_are_named_by_line_and_path(tmp_path, text, message):
    with pytest.raises(PolicyError, match=message):
        load(tmp_path, text)
