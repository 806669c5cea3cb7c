"""The report of a check."""

import pytest

from lit_core.checking import Finding, FitReport


def test_only_errors_make_it_fail_and_the_first_exception_is_the_cause() -> None:
    cause = KeyError("x")
    fine = FitReport("Net", [Finding("warning", "a"), Finding("info", "b")])
    failed = FitReport("Net", [*fine.findings, Finding("error", "c"), Finding("error", "d", cause=cause)])

    fine.raise_if_failed()
    assert (fine.ok, failed.ok) == (True, False)
    with pytest.raises(RuntimeError, match="Net: 2 errors, 1 warning") as raised:
        failed.raise_if_failed()
    assert raised.value.__cause__ is cause


def test_the_table_has_the_worst_first_and_every_word() -> None:
    what, fix = " ".join(f"what{i}" for i in range(40)), " ".join(f"fix{i}" for i in range(20))
    report = FitReport("Net", [Finding("info", "known"), Finding("error", what, fix), Finding("warning", "odd")])

    lines = str(report).splitlines()

    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["Net:", "error", "warning", "info"]
    assert set(f"{what} {fix}".split()) <= set(" ".join(lines).split())
    assert max(map(len, lines)) <= 120
