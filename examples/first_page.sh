#!/bin/sh
# From a clone to a decoded picture in a page of one's own, in ten minutes (needs Node 20):
#     examples/first_page.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/first-page}

if [ -z "${INSTALLED:-}" ]; then # as the tests have it
    python3 -m venv build/venv
    . build/venv/bin/activate
    pip install --quiet -e ./
    (cd web && npm ci --no-audit --no-fund)
fi
(cd web && npm run package)
mkdir -p "$out"
cp -R web/picocodec/dist "$out/picocodec"
picoenc --overwrite examples/photos/chelsea.png "$out/photo.pico"
cat > "$out/index.html" <<'PAGE'
<!doctype html>
<html lang="en">
<title>My page</title>
<script type="module" src="picocodec/pico-image.js"></script>
<img data-pico="photo.pico" alt="a cat" width="451" height="300">
</html>
PAGE
echo "python3 -m http.server --directory $out 8000, then open http://localhost:8000"
