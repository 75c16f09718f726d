"""Grading submissions that nobody has read: each answer runs walled off, and is compared here, in the parent.

A submission goes one way, from station to station: what is asked (`assignment`), what was handed in (`intake`), the
process in which an answer runs (`worker`, behind `walls`), whether it is right (`judging`), what is kept (`results`)
and what people read (`reports`). The modules beside the stations lead it through them.
"""

STATIONS = ("assignment", "intake", "walls", "worker", "judging", "results", "reports")
"""Each imports only from those before it."""
