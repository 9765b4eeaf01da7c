"""What a command prints on the way, and which libraries are silenced meanwhile."""

from rich.console import Console

from .errors import readable


def say(text: str) -> None:
    """Print a line to stdout as it is: no markup, no wrapping, no control characters."""
    Console(soft_wrap=True).print(readable(text), markup=False, highlight=False)


def quieten_libraries() -> None:
    """Silence progress bars and notices that say nothing about this run; keep errors.

    Loading notices are replaced by checks of our own that stop the run.
    """
    import datasets
    import transformers

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
