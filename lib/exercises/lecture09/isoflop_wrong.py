"""Parabolas of isoflop.estimate and a line through their lowest points; and the ways in which answers get them wrong."""

import warnings
from itertools import groupby

import numpy as np


def bottoms(flops, n, loss, vertex=lambda q, p: -p / (2 * q)):
    """The budgets, rising, and the vertex of the parabola at each."""
    flops, loss = np.array(flops, dtype=float), np.array(loss, dtype=float)
    budgets = np.unique(flops)
    return budgets, np.array([vertex(*np.polyfit(n[flops == C], loss[flops == C], 2)[:2]) for C in budgets])


def line(budget, budgets, lowest):
    """(slope, N at `budget`) of a straight line through (ln C, ln N)."""
    a, level = np.polyfit(np.log(budgets), lowest, 1)
    return float(a), float(np.exp(level + a * np.log(budget)))


def neighbours(flops, N, loss, budget):
    runs = [list(run) for _, run in groupby(zip(flops, N, loss, strict=True), key=lambda run: run[0])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one or two runs have no parabola; NumPy gives one all the same
        found = [bottoms(C, np.log(n), y) for C, n, y in (zip(*run, strict=True) for run in runs)]
    return line(budget, [C[0] for C, _ in found], [lowest[0] for _, lowest in found])


def equally_many(flops, N, loss, budget):
    order = np.argsort(flops, kind="stable")
    n, y = np.log(N)[order], np.array(loss)[order]
    budgets = sorted(set(flops))
    per = len(flops) // len(budgets)
    fits = [np.polyfit(n[i : i + per], y[i : i + per], 2) for i in range(0, per * len(budgets), per)]
    return line(budget, budgets, [-p / (2 * q) for q, p, _ in fits])


def lowest_runs(flops, N, loss, budget):
    budgets = sorted(set(flops))
    best = [min((run[2], run[1]) for run in zip(flops, N, loss, strict=True) if run[0] == C)[1] for C in budgets]
    return line(budget, budgets, np.log(best))


def three_around_the_lowest(flops, N, loss, budget):
    lowest = []
    for C in (budgets := sorted(set(flops))):
        n, y = np.array(sorted((np.log(n), y) for c, n, y in zip(flops, N, loss, strict=True) if c == C)).T
        at = min(max(y.argmin(), 1), len(n) - 2)
        q, p, _ = np.polyfit(n[at - 1 : at + 2], y[at - 1 : at + 2], 2)
        lowest.append(-p / (2 * q))
    return line(budget, budgets, lowest)


def sizes_averaged(flops, N, loss, budget):
    at = {}
    for C, size, y in zip(flops, N, loss, strict=True):
        at.setdefault((C, size), []).append(y)
    C, sizes = zip(*at, strict=True)
    return line(budget, *bottoms(C, np.log(sizes), [np.mean(values) for values in at.values()]))


def in_N(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.array(N) / np.mean(N), loss)
    return line(budget, budgets, np.log(np.abs(lowest) * np.mean(N)))


def every_run(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    return line(budget, np.array(flops), lowest[np.searchsorted(budgets, flops)])


def ends(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    return line(budget, budgets[[0, -1]], lowest[[0, -1]])


def mean_of_steps(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    x = np.log(budgets)
    a = np.mean(np.diff(lowest) / np.diff(x))
    return float(a), float(np.exp(lowest.mean() + a * (np.log(budget) - x.mean())))


def other_line(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    slope, level = np.polyfit(lowest, np.log(budgets), 1)
    return float(1 / slope), float(np.exp((np.log(budget) - level) / slope))


def straight(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    slope, level = np.polyfit(budgets, np.exp(lowest), 1)
    return float(slope), float(level + slope * budget)


def turned(flops, N, loss, budget):
    a, best = line(budget, *bottoms(flops, np.log(N), loss))
    return 1 / a, best


def own_lowest_point(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    a, best = line(budget, budgets, lowest)
    return a, float(np.exp(lowest[list(budgets).index(budget)])) if budget in budgets else best


def between_the_points(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    return line(budget, budgets, lowest)[0], float(np.exp(np.interp(np.log(budget), np.log(budgets), lowest)))


def from_the_last_point(flops, N, loss, budget):
    budgets, lowest = bottoms(flops, np.log(N), loss)
    a = line(budget, budgets, lowest)[0]
    return a, float(np.exp(lowest[-1]) * (budget / budgets[-1]) ** a)


def another_order(flops, N, loss, budget):
    return line(budget, list(dict.fromkeys(flops)), bottoms(flops, np.log(N), loss)[1])


def mixed_logarithms(flops, N, loss, budget):
    a, best = line(budget, *bottoms(flops, np.log(N), loss))
    return a, float(np.exp(np.log10(best)))
