"""Prints the table of languages and scenarios at the end of a run."""

import re

import pytest

_TEST = re.compile(r"test_conformance\[(?P<language>\w+)-(?P<scenario>\w+)\]$")
_MARKS = {"passed": "yes", "failed": "NO", "error": "NO", "skipped": "-"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    marks: dict[str, dict[str, str]] = {}
    for outcome, mark in _MARKS.items():
        for report in terminalreporter.getreports(outcome):
            if found := _TEST.search(report.nodeid):
                marks.setdefault(found["scenario"], {})[found["language"]] = mark
    if not marks:
        return
    names = sorted({language for row in marks.values() for language in row})
    width = max(map(len, marks))
    terminalreporter.section("conformance")
    terminalreporter.line(f"{'':{width}}  " + "  ".join(f"{name:6}" for name in names))
    for scenario, row in sorted(marks.items()):
        terminalreporter.line(f"{scenario:{width}}  " + "  ".join(f"{row.get(name, ''):6}" for name in names))
