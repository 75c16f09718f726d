"""One function per claim of data/slides/claims.csv, one module per notebook that the claims' slides belong
to.

A function's value is computed with `lib` as the notebooks use it, never copied from a slide; what a slide
prints comes in only as input (its tables, its examples).
"""
