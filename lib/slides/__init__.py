"""The slides' tables, and their claims recomputed, each with a verdict.

No heavy import happens here, so that the command line starts fast: pandas is imported by the first
`load_table`, torch by the first claim that is recomputed.
"""

from lib.slides.claimed import Claim, audit, claim, claims
from lib.slides.eras import classify_era, era_ranges
from lib.slides.schema import TABLES
from lib.slides.sizes import SizeRange, parse_range, parse_size
from lib.slides.tables import example, load_table

__all__ = [
    "TABLES",
    "Claim",
    "SizeRange",
    "audit",
    "claim",
    "claims",
    "classify_era",
    "era_ranges",
    "example",
    "load_table",
    "parse_range",
    "parse_size",
]
