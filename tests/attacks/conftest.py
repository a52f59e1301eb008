"""The table that ``make attacks`` prints: what each attacker gained, and the bound."""

import os


def pytest_terminal_summary(terminalreporter):
    if os.environ.get("PROCTOR_ATTACK_SIZE") not in ("full", "literature"):
        return
    reports = [report for state in ("passed", "failed") for report in terminalreporter.stats.get(state, ())]
    rows = [(dict(report.user_properties).get("outcome"), report.passed) for report in reports]
    terminalreporter.write_line("")
    terminalreporter.write_line(f"{'attack':62}{'full':>9}{'default':>9}{'bound':>9}  unit; note")
    for outcome, passed in rows:
        if outcome:
            name, unit, full, default, bound, note = outcome
            held = "" if passed else "  NOT HELD"
            # Figures of a publication's own mechanism have no bound of ours.
            limit = f"{'-':>9}" if bound is None else f"{bound:9.3f}"
            terminalreporter.write_line(f"{name:62}{full:9.3f}{default:9.3f}{limit}  {unit}; {note}{held}")
