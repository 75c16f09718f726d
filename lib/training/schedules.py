"""Learning-rate schedules: the factor by which the peak rate is multiplied at each step."""

import math

from lib import checks

SCHEDULES = ("constant", "linear", "cosine")


def lr_multiplier(step: int, steps: int, warmup_steps: int, schedule: str = "cosine", floor: float = 0.0) -> float:
    """The factor in [0, 1] for update number `step` (counted from 0) of `steps`.

    It rises linearly over the first `warmup_steps` updates (the first already moves: 1 / warmup_steps), is 1 at their
    end, and then stays (`constant`) or falls to `floor` at the last update along a line (`linear`, BERT's) or half a
    cosine (`cosine`, GPT-3's and Llama's). Source: Devlin et al. 2019, A.2; Brown et al. 2020, B.

    Raises ValueError for an unknown schedule, a step outside [0, steps), a warm-up longer than the run, or a floor
    outside [0, 1].

    >>> [round(lr_multiplier(s, 5, warmup_steps=2, schedule="linear"), 2) for s in range(5)]
    [0.5, 1.0, 0.67, 0.33, 0.0]
    """
    checks.one_of("schedule", schedule, SCHEDULES)
    checks.whole("step", step, 0, steps - 1)
    checks.whole("warmup_steps", warmup_steps, 0, steps)
    checks.share("floor", floor)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant" or steps == 1:
        return 1.0
    done = (step - max(warmup_steps - 1, 0)) / (steps - max(warmup_steps, 1))  # 0 at the peak, 1 at the last update
    fall = 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * fall
