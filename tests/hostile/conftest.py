"""The suite's table, printed by ``make hostile``: each attack, and what held it."""

import os

import pytest

# The collector's own tests (tests/runners/test_collector.py): one row for each trick, however many ways it is tried.
COLLECTOR = {
    "symbolic_link": "opened beneath the output, without following links",
    "symbolic_link_in_place_of_a_folder": "no part of a path may be a link",
    "root_that_is_a_link": "the output folder itself may not be a link",
    "hard_link": "a file must have one name",
    "fifo_does_not_make_the_host_wait": "looked at before it is opened",
    "socket": "regular files only",
    "device": "regular files only",
    "folder_and_file_in_each_others_place": "regular files only",
    "sparse_file_is_refused_before_it_is_read": "size is known before reading",
    "one_byte_beyond_the_cap": "size is known before reading",
    "many_files": "limit on names, counted while a folder is read",
    "names_that_harm_whoever_reads_them": "names of plain characters only",
    "names_that_differ_in_case": "names must differ in more than case",
    "wanted_names_that_climb": "names of plain characters only",
    "other_file_system_in_the_output": "no mount is crossed",
    "folder_swapped_for_a_link_while_it_is_collected": "one resolution by the kernel, no path twice",
    "file_that_grows_while_it_is_read": "size must be what it was",
}


@pytest.fixture
def attack(record_property):
    """Return a function that enters the test into the table."""

    def enter(family, name, held):
        record_property("attack", (family, name, held))

    return enter


def pytest_terminal_summary(terminalreporter):
    if not os.environ.get("PROCTOR_ATTACK_TABLE"):
        return
    rows = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            found = dict(report.user_properties).get("attack")
            name = report.nodeid.partition("::test_")[2].partition("[")[0]
            if "test_collector.py" in report.nodeid and name in COLLECTOR:
                found = ("collector", name.replace("_", " "), COLLECTOR[name])
            if found:
                rows[found] = outcome
    order = list(dict.fromkeys(family for family, _, _ in rows))
    table = [(*row, outcome) for row, outcome in rows.items()]
    table.sort(key=lambda row: order.index(row[0]))
    wide = max((len(row[1]) for row in table), default=0)
    family = ""
    for row in table:
        if row[0] != family:
            family = row[0]
            terminalreporter.write_line("")
            terminalreporter.write_line(family.upper())
        held = row[2] if row[3] == "passed" else "NOT HELD"
        terminalreporter.write_line(f"  {row[1]:{wide}}  ->  {held}")
    broken = sum(row[3] != "passed" for row in table)
    terminalreporter.write_line("")
    terminalreporter.write_line(f"{len(table)} attacks, {len(table) - broken} held.")
