#!/bin/sh
# From a clone to a comparison to look at, in two minutes:
#     examples/first_look.sh [FOLDER [PHOTO ...]]
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/first-look}
[ $# -eq 0 ] || shift

if [ -z "${INSTALLED:-}" ]; then # as the tests have it
    python3 -m venv build/venv
    . build/venv/bin/activate
    pip install --quiet -e ./
fi
python examples/demo.py "$@" --output "$out"
echo "open $out/index.html"
