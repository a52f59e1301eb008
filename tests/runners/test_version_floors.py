"""Known flaws against versions as distributions write them, and declared backports."""

import pytest

from runners.engine_facts import EngineFacts
from runners.version_floors import Backport, is_fixed, known_flaws, parse_version

RUNC_2025 = ("1.2.8", "1.3.3", "1.4.0-rc.3")


@pytest.mark.parametrize(
    ("version", "fixed", "expected"),
    [
        ("1.1.5+ds1", RUNC_2025, False),
        ("1.2.7", RUNC_2025, False),
        ("1.2.8", RUNC_2025, True),
        ("1.3.0", RUNC_2025, False),
        ("1.3.3", RUNC_2025, True),
        ("1.4.0-rc.2", RUNC_2025, False),
        ("1.4.0~rc.3", RUNC_2025, True),
        ("1.4.0", RUNC_2025, True),
        ("1.5.0-rc.1", RUNC_2025, True),
        ("2.0", RUNC_2025, True),
        ("1.0.0-rc6", ("1.0.0-rc7",), False),
        ("1.0.0-rc10", ("1.0.0-rc7",), True),
        ("20.10.24+dfsg1", ("20.10.14",), True),
        ("20.10.24+dfsg1", ("23.0.11", "25.0.4", "26.0.0-rc3"), False),
        ("24.0.7", ("23.0.11", "25.0.4", "26.0.0-rc3"), False),
        ("1.6.20~ds1", ("1.6.38", "1.7.27"), False),
        ("6.18.44-generic", ("5.16.11",), True),
        ("unknown", RUNC_2025, None),
        ("", RUNC_2025, None),
        ("6.18", (), None),
    ],
)
def test_versions(version, fixed, expected):
    assert is_fixed(version, fixed) is expected


def test_candidates_come_before_their_release():
    order = ["1.4.0-rc.1", "1.4.0-rc.2", "1.4.0-rc.10", "1.4.0", "1.4.1"]
    assert sorted(order, key=parse_version) == order


def facts(**components):
    return EngineFacts(
        version="", api_version="", components=components, kernel="6.18.44", operating_system="",
        architecture="", cgroup_version="", storage_driver="", security_options=(), runtimes=(),
        default_runtime="", processors=1, memory_bytes=1,
    )  # fmt: skip


def by_name(found):
    return {flaw.cve: flaw for flaw in found}


def test_status_and_what_stays_open():
    found = by_name(known_flaws(facts(runc="1.1.5+ds1", Engine="20.10.24+dfsg1")))
    assert found["CVE-2023-28642"].status == "fixed"
    assert found["CVE-2024-21626"].status == "below"
    assert not found["CVE-2024-21626"].open
    assert found["CVE-2025-31133"].open
    assert found["CVE-2026-31431"].status == "unknown"
    assert "CVE-2024-40635" not in found
    assert all(flaw.trigger and flaw.proctor for flaw in found.values())


def test_backport_holds_for_one_version():
    backports = [Backport(cve="CVE-2025-31133", version="1.1.5+ds1")]
    found = by_name(known_flaws(facts(runc="1.1.5+ds1"), backports))
    assert found["CVE-2025-31133"].status == "backported"
    assert not found["CVE-2025-31133"].open
    assert found["CVE-2025-52881"].open
    assert by_name(known_flaws(facts(runc="1.1.6"), backports))["CVE-2025-31133"].open


@pytest.mark.engine
def test_this_engine():
    from runners.engine import connect
    from runners.errors import EngineMissing

    try:
        engine = connect()
    except EngineMissing as missing:
        pytest.skip(str(missing))
    with engine:
        found = known_flaws(engine.facts())
    assert {"Engine", "kernel"} <= {flaw.component for flaw in found}
    assert all(flaw.version for flaw in found)
