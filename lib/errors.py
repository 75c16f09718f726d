"""Errors that are meant for the person at the terminal: one line, no traceback."""


class CourseError(Exception):
    """Something went wrong that the user can put right; the message says what, where and what to do."""

    exit_code = 1


class UsageError(CourseError):
    """The command itself was wrong: an unknown notebook, parameter or option value."""

    exit_code = 2
