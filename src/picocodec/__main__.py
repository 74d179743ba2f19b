"""`python -m picocodec`: the commands, where their scripts are not on the path."""

from __future__ import annotations

import sys

import picocodec_commands as commands

COMMANDS = {
    "encode": commands.picoenc,
    "decode": commands.picodec,
    "info": commands.picoinfo,
    "corpus": commands.picocorpus,
}
USAGE = "usage: python -m picocodec encode|decode|info|corpus ...   (then --help tells more)"


def main() -> int:
    """Run the command that the first argument names; returns the exit code."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in ("-h", "--help"):
        print(USAGE)
        return 0
    if word not in COMMANDS:
        print(USAGE, file=sys.stderr)
        return 2
    del sys.argv[1]
    return COMMANDS[word]()


if __name__ == "__main__":
    sys.exit(main())
