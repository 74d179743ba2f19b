#!/bin/sh
# From a clone to a model of one's own, in fifteen minutes, as docs/tutorial.md tells:
#     examples/first_model.sh [PHOTOS [FOLDER]]
# $SHORT, for instance "--pixels 3e5 --no-compile", makes each training so short.
set -eu
cd "$(dirname "$0")/.."
photos=${1:-examples/photos} out=${2:-build/first-model} short=${SHORT:-}

if [ -z "${INSTALLED:-}" ]; then # as the tests have it
    python3 -m venv build/venv
    . build/venv/bin/activate
    pip install --quiet -e ./ -e ./lab
fi
train() { picolab train recipes/mine.toml --tiles "$out/tiles" -o "$out/runs" --no-lpips "$@"; }

picolab data build --folder "$photos" -o "$out/tiles"
train --stage entropy $short
train --stage trunk ${short:---minutes 4}
train --stage trunk --cooldown 0.3 $short
picolab release "$out/runs/trunk-cooldown/checkpoint" -o "$out/models" --version 1

export PICOCODEC_MODELS="$out/models"
picoenc --overwrite --model mine.v1 examples/photos/chelsea.png "$out/chelsea.pico"
picodec --overwrite "$out/chelsea.pico" -o "$out/chelsea.png"
echo "open $out/chelsea.png"
