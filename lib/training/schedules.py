"""Learning-rate schedules: the factor by which the peak rate is multiplied at each step."""

import math

SCHEDULES = ("constant", "linear", "cosine")


def rate_factor(step: int, steps: int, warmup_steps: int, schedule: str = "cosine", floor: float = 0.0) -> float:
    """The factor in [0, 1] for update number `step` (counted from 0) of `steps`.

    It rises linearly over the first `warmup_steps` updates (the first already moves: 1 / warmup_steps), is 1 at their
    end, and then stays (`constant`) or falls to `floor` at the last update along a line (`linear`, BERT's) or half a
    cosine (`cosine`, GPT-3's and Llama's). Source: Devlin et al. 2019, A.2; Brown et al. 2020, B.

    Raises ValueError for an unknown schedule, a step outside [0, steps), a warm-up longer than the run, or a floor
    outside [0, 1].

    >>> [round(rate_factor(s, 5, warmup_steps=2, schedule="linear"), 2) for s in range(5)]
    [0.5, 1.0, 0.67, 0.33, 0.0]
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if not 0 <= step < steps:
        raise ValueError(f"step must lie in [0, {steps}), got {step}")
    if not 0 <= warmup_steps <= steps:
        raise ValueError(f"warmup_steps must lie in [0, {steps}], got {warmup_steps}")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must lie in [0, 1], got {floor}")
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant" or steps == 1:
        return 1.0
    done = (step - max(warmup_steps - 1, 0)) / (steps - max(warmup_steps, 1))  # 0 at the peak, 1 at the last update
    fall = 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * fall
