"""The page in a real browser: nothing is blocked by its own policy, nothing is logged, nothing is fetched."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.report.page import CONTENT_POLICY, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt-get install chromium)"),
]


def console(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Open `page` and give the document as the browser built it and every line of its console."""
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={profile}", "--dump-dom", page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_page_opens_without_a_word_on_the_console(make_report, sample_page, tmp_path):
    vendor = dataclasses.replace(make_report().submission, vendor="<img src=x onerror=alert(1)>")
    page = tmp_path / "report.html"
    page.write_bytes(render(make_report(submission=vendor)))
    document, lines = console(page, tmp_path / "profile")
    assert lines == []
    assert "<img" not in document
    assert document.count("<section") == sample_page.count(b"<section")


def test_what_the_policy_forbids_would_be_seen(tmp_path):
    page = tmp_path / "bad.html"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">'
    page.write_text(policy + "<script>document.title = 1</script>")
    _, lines = console(page, tmp_path / "profile")
    assert any("Content Security Policy" in line for line in lines)
