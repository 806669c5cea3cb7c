"""What a check found."""

import textwrap
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Literal

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_WIDTHS = (62, 46)


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        severity: ``"error"`` (training would fail, or lose what was asked for), ``"warning"`` (probably not what was
            meant) or ``"info"``.
        what: what was found.
        fix: what to do; empty where nothing is.
        cause: the exception behind it.
    """

    severity: Severity
    what: str
    fix: str = ""
    cause: BaseException | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class FitReport:
    """What ``Trainer.check`` found; as a string, a table, worst first.

    Args:
        module: name of the class that was checked.
        findings: what was found.

    Example:
        >>> found = Finding("warning", "there is no validation data", "pass val_dataloaders")
        >>> report = FitReport("Regression", [found])
        >>> print(report)
        Regression: 0 errors, 1 warning
        warning  there is no validation data                                     pass val_dataloaders
        >>> report.ok
        True
    """

    module: str
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def raise_if_failed(self) -> None:
        """Do nothing if :attr:`ok`.

        Raises:
            RuntimeError: with the table; what went wrong first is its cause.
        """
        if not self.ok:
            cause = next((finding.cause for finding in self.of("error") if finding.cause is not None), None)
            raise RuntimeError(f"The check failed.\n{self}") from cause

    def __str__(self) -> str:
        counts = ", ".join(_count(len(self.of(severity)), severity) for severity in ("error", "warning"))
        rows = [line for severity in SEVERITIES for finding in self.of(severity) for line in _rows(finding)]
        return "\n".join([f"{self.module}: {counts}", *rows])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _rows(finding: Finding) -> list[str]:
    left, right = (textwrap.wrap(text, width) for text, width in zip((finding.what, finding.fix), _WIDTHS, strict=True))
    lines = zip_longest([finding.severity], left, right, fillvalue="")
    return [f"{title:<8} {what:<{_WIDTHS[0]}}  {fix}".rstrip() for title, what, fix in lines]
