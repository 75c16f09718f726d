"""One progress bar for terminals and for notebooks, that leaves nothing behind which differs from run to run.

In a terminal it is tqdm's own bar on stderr. In a notebook tqdm would store either widget state or a stream of
half-drawn bars with times in them; here one output is updated in place and ends as a plain, repeatable line.
"""

from collections.abc import Iterable

from tqdm import tqdm


def progress(
    iterable: Iterable | None = None, *, description: str, total: int | None = None, disable: bool = False
) -> tqdm:
    """A tqdm bar over `iterable` (or, without one, a bar to `update` by hand).

    `description` says what is being waited for; `total` is needed where `iterable` has no length.

    >>> sum(progress([1, 2, 3], description="adding", disable=True))
    6
    """
    bar = _CellBar if _in_notebook() and not disable else tqdm
    return bar(iterable, desc=description, total=total, disable=disable, dynamic_ncols=bar is tqdm)


class _CellBar(tqdm):
    """tqdm drawn into one output of the running notebook cell."""

    def __init__(self, *args, **kwargs):
        from IPython.display import display

        kwargs |= {"gui": True, "ncols": 80, "dynamic_ncols": False, "mininterval": 0.5}  # gui: nothing on stderr
        super().__init__(*args, **kwargs)
        if not self.disable:
            self._output = display(_plain(f"{self.desc.rstrip(': ')}: starting"), raw=True, display_id=True)
            self._closed = False

    def display(self, msg=None, pos=None, **_):
        self._output.update(_plain(msg or str(self)), raw=True)

    def close(self):
        if self.disable or getattr(self, "_closed", True):
            return
        self._closed = True
        of_total = f" of {self.total}" if self.total else ""
        self._output.update(_plain(f"{self.desc.rstrip(': ')}: {self.n}{of_total}"), raw=True)
        self.disable = True


def _plain(text: str) -> dict[str, str]:
    """A notebook output that is the text itself, without the quotes of a string."""
    return {"text/plain": text}


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"
