"""Grading submissions that nobody has read: each answer runs walled off, and is compared here, in the parent."""
