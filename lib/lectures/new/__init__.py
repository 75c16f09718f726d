"""What `course new` writes: a lecture or an exercise in its right form, with the places where an author goes on."""

PLACEHOLDER = "FILL IN"
"""Stands wherever something is still to be written; the lint rule `placeholder` names each place that has it."""
