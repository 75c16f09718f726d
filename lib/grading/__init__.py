"""Grading of submissions that nobody has read: each answer runs isolated behind walls; the parent process compares.

A submission passes through the stations in one direction: the assignment (`assignment`), the submitted files
(`intake`), the process in which an answer runs (`worker`, behind `walls`), the verdict (`judging`), the stored results
(`results`) and the pages for people (`reports`). The modules beside the stations coordinate them.
"""

STATIONS = ("assignment", "intake", "walls", "worker", "judging", "results", "reports")
"""The stations in order; each imports only from those before it."""
