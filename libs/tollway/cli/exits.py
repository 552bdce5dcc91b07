"""How a command ends: 0 done, 1 error, 2 usage, 3 authentication, 4 not found."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

OK, ERROR, USAGE, AUTHENTICATION, NOT_FOUND = range(5)


class Failure(Exception):
    """One clear line for the user, with the exit code."""

    def __init__(self, message: str, code: int = ERROR) -> None:
        super().__init__(message)
        self.code = code


class Usage(Failure):
    """The command was called the wrong way."""

    def __init__(self, message: str) -> None:
        super().__init__(message, USAGE)


def note(line: str) -> None:
    """A message: to standard error, because standard output is for data."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Turns what the SDK, the launcher and the configuration file raise into a Failure."""
    from tollway.cli.document.problems import DocumentError
    from tollway.cli.up.failure import UpError
    from tollway.sdk import errors

    try:
        yield
    except (errors.AuthenticationError, errors.PermissionDenied) as error:
        raise Failure(str(error), AUTHENTICATION) from error
    except errors.NotFound as error:
        raise Failure(str(error), NOT_FOUND) from error
    except (errors.TollwayError, UpError) as error:
        raise Failure(str(error)) from error
    except DocumentError as error:
        raise Failure("\nerror: ".join(error.problems)) from error
