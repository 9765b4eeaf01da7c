"""Write a report into a run's folder."""

import os
import tempfile
from pathlib import Path

from .page import render_html
from .schema import HTML_NAME, JSON_NAME, RunReport


def write_report(report: RunReport, folder: str | Path) -> None:
    """Write ``report.html``, then ``report.json``: where the JSON is, the report is whole."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(folder / HTML_NAME, render_html(report))
    _write_whole(folder / JSON_NAME, report.to_json())


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that it is never seen half written."""
    file = tempfile.NamedTemporaryFile(
        "w",
        encoding="utf-8",
        errors="replace",
        dir=path.parent,
        prefix=f".{path.name}.",
        delete=False,
    )
    try:
        with file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; the report is as readable as any file the user writes.
        os.chmod(file.name, 0o666 & ~_umask())
        # Closed by now: Windows cannot replace an open file.
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
