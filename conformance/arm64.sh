#!/usr/bin/env bash
# A Python for 64-bit ARM, with NumPy and ONNX Runtime, for `exactness.py --arm64 FOLDER` to run
# by qemu-aarch64 (Debian: apt-get install qemu-user). Nothing outside FOLDER changes.
#
#   conformance/arm64.sh FOLDER
set -euo pipefail
mkdir -p "$1"
folder=$(cd "$1" && pwd)
mkdir -p "$folder"/apt/{lists,archives}/partial "$folder"/{system,site}
: > "$folder/apt/status"
debian=(
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64
  -o "Dir::State=$folder/apt" -o "Dir::State::status=$folder/apt/status"
  -o "Dir::Cache::archives=$folder/apt/archives" -o Debug::NoLocking=1
)
"${debian[@]}" update
"${debian[@]}" install --yes --download-only --no-install-recommends python3.11-minimal \
  libpython3.11-stdlib libstdc++6
for package in "$folder"/apt/archives/*.deb; do
  dpkg-deb --extract "$package" "$folder/system"
done
# ONNX Runtime asks this file what the processor is, and would find the real one's.
mkdir -p "$folder/system/proc"
printf '%s\n' 'processor : 0' 'Features : fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid' \
  'CPU implementer : 0x41' 'CPU architecture: 8' 'CPU variant : 0x0' 'CPU part : 0xd03' \
  'CPU revision : 4' '' > "$folder/system/proc/cpuinfo"
python3 -m pip install --quiet --target "$folder/site" --python-version 3.11 --only-binary=:all: \
  --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
  --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
  numpy pillow onnxruntime
