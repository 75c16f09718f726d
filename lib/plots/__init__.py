"""Figures: one function for each, in one module a theme; `show` displays a figure with its alt text."""

from lib.plots.figure import COLOURS, LINES, MARKERS, curve, figure, heatmap, show

__all__ = ["COLOURS", "LINES", "MARKERS", "curve", "figure", "heatmap", "show"]
