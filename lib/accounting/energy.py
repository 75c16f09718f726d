"""From hours on hardware to kilowatt-hours and CO₂ (slide T06; Strubell et al. 2019)."""

from lib import checks

POUND = 0.45359237
"""Kilograms."""


def energy_kwh(power_watts: checks.Number, hours: checks.Number, pue: checks.Number = 1.58) -> float:
    """P · t · PUE in kWh; PUE, the power usage effectiveness, is the data centre's overhead (Strubell: 1.58).

    Raises ValueError for a negative power or time, or a PUE below 1.

    >>> round(energy_kwh(12_041.5, 79))  # BERT-base on 64 V100; the paper prints 1,507
    1503
    """
    watts, pue = checks.number("power_watts", power_watts, "[0, inf)"), checks.number("pue", pue, "[1, inf)")
    return watts * checks.number("hours", hours, "[0, inf)") * pue / 1000


def co2_kg(kwh: checks.Number, kg_per_kwh: checks.Number = 0.954 * POUND) -> float:
    """CO₂ equivalent of `kwh` kilowatt-hours; the default is the average of US power in 2018, 0.954 lb per kWh.

    >>> round(co2_kg(1507) / POUND)  # pounds; a flight from New York to San Francisco and back is 1,984
    1438
    """
    return checks.number("kwh", kwh, "[0, inf)") * checks.number("kg_per_kwh", kg_per_kwh, "[0, inf)")
