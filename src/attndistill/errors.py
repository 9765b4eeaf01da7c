"""The one exception for what a user can put right."""


class InputError(ValueError):
    """The input is wrong: the message says what was expected, what came and what to do.

    The command line prints it alone, without a traceback, and exits with code 2.
    """


class ObjectiveError(RuntimeError):
    """A term of the objective teaches nothing or is not finite: the run stops, naming the term."""
