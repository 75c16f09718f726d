"""Bytes in words. A gigabyte (GB) is 10⁹ bytes, a gibibyte (GiB) 2³⁰: 7 % apart, and both called "gigs"."""

from math import ceil, isfinite

from lib.names import nearest

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
         "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip


def format_bytes(count: int | float, unit: str = "GB", digits: int = 2) -> str:
    """`count` bytes in one unit, decimal (kB, MB, GB, TB) or binary (KiB, MiB, GiB, TiB).

    Raises ValueError for a negative count or an unknown unit.

    >>> format_bytes(28_000_000_000), format_bytes(28_000_000_000, "GiB")
    ('28.00 GB', '26.08 GiB')
    """
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}; {nearest(unit, UNITS)}")
    amount("count", count, least=0)
    return f"{count / UNITS[unit]:,.{digits}f} {unit}"


def gb(count: int | float) -> float:
    """Bytes in gigabytes, 10⁹.

    >>> gb(112_000_000_000)
    112.0
    """
    return amount("count", count, least=0) / UNITS["GB"]


def gib(count: int | float) -> float:
    """Bytes in gibibytes, 2³⁰.

    >>> round(gib(112_000_000_000), 2)
    104.31
    """
    return amount("count", count, least=0) / UNITS["GiB"]


def gpus_needed(total_bytes: int | float, gpu_bytes: int | float) -> int:
    """How many GPUs of `gpu_bytes` hold `total_bytes`, if it can be shared out evenly.

    >>> gpus_needed(112e9, 80e9)
    2
    """
    return ceil(amount("total_bytes", total_bytes, least=0) / amount("gpu_bytes", gpu_bytes, least=1))


def whole(name: str, value: int, *, least: int = 1) -> int:
    """`value`, which must be a whole number of at least `least`.

    Raises TypeError for anything but an int, ValueError below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


def amount(name: str, value: int | float, *, least: int | float = 0) -> int | float:
    """`value`, which must be a finite number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not isfinite(value) or value < least:
        raise ValueError(f"{name} must be finite and at least {least}, got {value}")
    return value
