"""The cases of one submission: those of the notebook's check, and others that are drawn for this submission.

The notebook's cases are the same for all, so what the reference and the misconceptions do on them is computed once.
The others come from a secret key and the bytes of the submission: what one page reveals of them is of no use to the
next submission, and the same bytes are always graded on the same cases.
"""

import hmac
from dataclasses import replace

from lib.exercises.engine.checking import AnswerKey
from lib.exercises.engine.exercise import Case, Exercise, Misconception
from lib.exercises.engine.running import Outcome
from lib.grading.worker import protocol


def secret_seed(key: bytes, id: str, sha256: str) -> int:
    """The seed of the secret cases of exercise `id`: 63 bits of HMAC-SHA256 of its id and the submission's hash.

    >>> secret_seed(b"key", "mlm.loss", "5e") == secret_seed(b"key", "mlm.loss", "5e")
    True
    >>> len({secret_seed(key, "mlm.loss", sha256) for key in (b"key", b"other") for sha256 in ("5e", "5f")})
    4
    """
    return int.from_bytes(hmac.digest(key, f"cases of {id} for {sha256}".encode(), "sha256")[:8], "big") >> 1


class SubmissionKey(AnswerKey):
    """The public cases of an exercise and perhaps secret ones after them, as one answer key.

    `sent` has the inputs of each case as a message to the process in which the answer runs.
    """

    def __init__(self, parts: list[AnswerKey], sent: tuple[bytes, ...]) -> None:
        self.exercise, self.parts, self.sent = parts[0].exercise, parts, sent
        self.cases = sum((part.cases for part in parts), ())
        self.expected = sum((part.expected for part in parts), ())

    def outcomes_of(self, misconception: Misconception) -> tuple[Outcome, ...]:
        """The outcomes of a misconception, up to the first case where it times out."""
        found: tuple[Outcome, ...] = ()
        for part in self.parts:
            found += part.outcomes_of(misconception)
            if found[-1].status in ("time up", "not written"):
                break
        return found


class CaseSource:
    """Gives the key of each submission for one exercise."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        self.public = AnswerKey(exercise, 0)
        self.sent = tuple(map(_message, self.public.cases))

    def key(self, seed: int | None) -> SubmissionKey:
        """The public cases, and those of the secret `seed` that differ from all of them; None for no secret ones.

        A secret case has a public one's inputs where the exercise always asks the same, as for an edge case.
        """
        if seed is None or self.exercise.cases is None:
            return SubmissionKey([self.public], self.sent)
        drawn = {
            message: case for case in self.exercise.build_cases(seed) if (message := _message(case)) not in self.sent
        }
        if not drawn:
            return SubmissionKey([self.public], self.sent)
        secret = AnswerKey(replace(self.exercise, cases=lambda generator: tuple(drawn.values())), seed)
        return SubmissionKey([self.public, secret], (*self.sent, *drawn))


def _message(case: Case) -> bytes:
    return protocol.encode(protocol.case_to_plain(case), protocol.MAX_REQUEST)
