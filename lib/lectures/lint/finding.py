"""What the linter says about one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One breach of one rule.

    >>> print(Finding("04_mlm_masking", "intro", "title", "a second H1"))
    04_mlm_masking:intro: title: a second H1
    """

    notebook: str
    cell: str  # its id, "-" where the notebook as a whole is meant
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.notebook}:{self.cell}: {self.rule}: {'warning: ' * self.warning}{self.message}"
