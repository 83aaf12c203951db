"""What a check finds, and the list that collects it."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass

from londiste_lite.errors import ConnectionLost, LondisteError


class Severity(str, enum.Enum):
    """`error`: replication stops or loses something; `warning`: look at it; `unknown`: could not be checked."""

    error = "error"
    warning = "warning"
    unknown = "unknown"


@dataclass(frozen=True)
class Finding:
    """One finding: the check's name, what it is about, a message and a hint in the style of errors."""

    check: str
    severity: Severity
    object: str
    message: str
    hint: str = ""


class Findings:
    """Collects findings."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def error(self, check: str, about: object, message: str, hint: str = "") -> None:
        """Add a finding that replication cannot live with."""
        self.found.append(Finding(check, Severity.error, str(about), message, hint))

    def warning(self, check: str, about: object, message: str, hint: str = "") -> None:
        """Add a finding that may be meant so."""
        self.found.append(Finding(check, Severity.warning, str(about), message, hint))

    @contextlib.contextmanager
    def checking(self, check: str, about: object) -> Iterator[None]:
        """Run one check: an error that leaves the block is a finding of its own kind, unless the connection is gone."""
        try:
            yield
        except ConnectionLost:
            raise
        except LondisteError as error:
            message = f"could not be checked: {error.message}"
            self.found.append(Finding(check, Severity.unknown, str(about), message, error.hint or ""))
