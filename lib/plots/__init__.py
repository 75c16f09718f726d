"""Figures: one function per figure, one module per theme. `show` displays a figure with its alt text."""

from lib.plots.figure import COLOURS, LINES, MARKERS, curve, figure, heatmap, show

__all__ = ["COLOURS", "LINES", "MARKERS", "curve", "figure", "heatmap", "show"]
