"""Bytes in words. A gigabyte (GB) is 10⁹ bytes, a gibibyte (GiB) 2³⁰: 7 % apart, and both called "gigs"."""

from math import ceil

from lib import checks

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
         "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip


def format_bytes(count: checks.Number, unit: str = "GB", digits: int = 2) -> str:
    """`count` bytes in one unit, decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB).

    Raises ValueError for a negative count or an unknown unit.

    >>> format_bytes(28_000_000_000), format_bytes(28_000_000_000, "GiB")
    ('28.00 GB', '26.08 GiB')
    """
    size = UNITS[checks.one_of("unit", unit, UNITS)]
    return f"{checks.number('count', count, '[0, inf)') / size:,.{digits}f} {unit}"


def gb(count: checks.Number) -> float:
    """Bytes in gigabytes, 10⁹.

    >>> gb(112_000_000_000)
    112.0
    """
    return checks.number("count", count, "[0, inf)") / UNITS["GB"]


def gib(count: checks.Number) -> float:
    """Bytes in gibibytes, 2³⁰.

    >>> round(gib(112_000_000_000), 2)
    104.31
    """
    return checks.number("count", count, "[0, inf)") / UNITS["GiB"]


def gpus_needed(total_bytes: checks.Number, gpu_bytes: checks.Number) -> int:
    """How many GPUs of `gpu_bytes` hold `total_bytes`, if it can be shared out evenly.

    >>> gpus_needed(112e9, 80e9)
    2
    """
    total = checks.number("total_bytes", total_bytes, "[0, inf)")
    return ceil(total / checks.number("gpu_bytes", gpu_bytes, "[1, inf)"))
