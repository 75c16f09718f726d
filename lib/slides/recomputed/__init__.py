"""One function per claim of data/slides/claims.csv, one module or more per lecture.

A function computes its value with `lib`, as the notebooks use it, and never copies it from a slide. What a slide
prints is only an input (its tables, its examples).
"""
