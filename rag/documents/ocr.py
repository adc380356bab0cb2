"""The user's own command for pages that are images."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from rag_evals.rag.documents.document import Refusal, printable
from rag_evals.rag.documents.pdf import PageOCR
from rag_evals.rag.errors import DocumentError

# A page that takes longer is left without text.
SECONDS = 120


def check_command(command: str) -> None:
    """Check that there is such a command, and that it is told which page to read.

    Raises:
        DocumentError: It cannot be parsed, is not installed, or names no page.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise DocumentError(f"the OCR command cannot be parsed ({error}): {command}") from error
    if not words or shutil.which(words[0]) is None:
        raise DocumentError(f"no such OCR command: {words[0] if words else '(empty)'}")
    if "{page}" not in command or "{file}" not in command:
        raise DocumentError(
            "the OCR command has no {file} or no {page}: it is run once a page, and writes the text to stdout"
        )


def page_reader(command: str, file: Path) -> PageOCR:
    """Return what runs `command` for a page of `file`; without a shell, so that no file name can do harm."""
    words = shlex.split(command)

    def read(page: int) -> str:
        arguments = [
            word.replace("{page}", str(page)).replace("{file}", str(file.absolute())) for word in words
        ]
        try:
            done = subprocess.run(
                arguments, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise Refusal(f"has no text layer; the OCR command took more than {SECONDS} s") from error
        except OSError as error:
            raise Refusal(f"has no text layer; the OCR command failed: {error.strerror}") from error
        if done.returncode:
            said = printable(
                done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:][0]
                if done.stderr.strip()
                else ""
            )
            raise Refusal(
                f"has no text layer; the OCR command failed (status {done.returncode}): {said[:120]}"
            )
        if not (text := done.stdout.decode("utf-8", "replace")).strip():
            raise Refusal("has no text layer; the OCR command found no text")
        return text

    return read
