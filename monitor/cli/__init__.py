"""The `monitor` command. Results go to standard output, progress and logs to standard error.

Exit status: 0 done; 1 the thing asked about is bad (invalid configuration or input, failing example, nothing found);
2 wrong usage; 3 could not (database, network).
"""

from __future__ import annotations

import sys

from monitor.cli import commands, events, exchange, inspect, lab, people, policy
from monitor.cli.common import cli
from monitor.errors import ConfigError, InputError, MonitorError, NotFoundError
from monitor.logs import redact

__all__ = ["cli", "main"]

assert commands, (events, exchange, inspect, lab, people, policy)  # imported for the commands that they add


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="monitor")
    except ConfigError as error:
        for problem in error.problems:
            print(redact(str(problem)), file=sys.stderr)  # noqa: T201 - the command line's own output
        sys.exit(1)
    except (InputError, NotFoundError) as error:
        print(redact(str(error)), file=sys.stderr)  # noqa: T201 - the command line's own output
        sys.exit(1)
    except MonitorError as error:
        print(f"monitor: {redact(str(error))}", file=sys.stderr)  # noqa: T201 - the command line's own output
        sys.exit(3)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); what it took was right.
        sys.stderr.close()
        sys.exit(0)
