"""From hours on hardware to kilowatt-hours and CO₂ (slide T06; Strubell et al. 2019)."""

from lib.accounting.units import amount

POUND = 0.45359237
"""Kilograms."""


def energy_kwh(power_watts: float | int, hours: float | int, pue: float | int = 1.58) -> float:
    """P · t · PUE in kWh; PUE, the power usage effectiveness, is the data centre's overhead (Strubell: 1.58).

    Raises ValueError for a negative power or time, or a PUE below 1.

    >>> round(energy_kwh(12_041.5, 79))  # BERT-base on 64 V100; the paper prints 1,507
    1503
    """
    return amount("power_watts", power_watts) * amount("hours", hours) * amount("pue", pue, least=1) / 1000


def co2_kg(kwh: float | int, kg_per_kwh: float | int = 0.954 * POUND) -> float:
    """CO₂ equivalents of so many kWh; the default is the average of US power in 2018, 0.954 lb a kWh.

    >>> round(co2_kg(1507) / POUND)  # pounds; a flight from New York to San Francisco and back is 1,984
    1438
    """
    return amount("kwh", kwh) * amount("kg_per_kwh", kg_per_kwh)
