"""One finding of the linter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One violation of one rule.

    >>> print(Finding("04_mlm_masking", "intro", "title", "a second H1"))
    04_mlm_masking:intro: title: a second H1
    """

    notebook: str
    cell: str  # its id, or "-" for the whole notebook
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.notebook}:{self.cell}: {self.rule}: {'warning: ' * self.warning}{self.message}"
