"""`make bench`: every measurement in turn, one JSON line each."""

import argparse
import asyncio
import json

from bench.runtime import tasks_per_second


def main() -> None:
    """Measure, print, stop."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--database-url", help="measure the runtime on this PostgreSQL, too")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(tasks_per_second(database_url=None))), flush=True)
    if options.database_url:
        line = asyncio.run(tasks_per_second(database_url=options.database_url))
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
