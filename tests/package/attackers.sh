#!/usr/bin/env bash
# The package's units under their own MemoryMax= and WatchdogSec= beside all attackers at once, in a
# container that is booted by systemd: neither half may be restarted, and the good node may lose
# nothing.
#
#   tests/package/attackers.sh target/debian/sparkdiode_*.deb [--minutes N] [--pace-ms N] [--only WORD]
#
# 30 seconds without --minutes. Needs root, mmdebstrap, systemd-container, and cargo for the program
# that attacks.
set -euo pipefail
deb=$(realpath "$1")
shift
seconds=30
options=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) seconds=$(($2 * 60)) ;;
        *) options+=("$1" "$2") ;;
    esac
    shift 2
done
# shellcheck source=tests/package/boot.sh
. "$(dirname "$0")/boot.sh"
cargo build --locked --quiet --release -p sparkdiode-attackers --bin attackers
unpack "$deb"
cp "${CARGO_TARGET_DIR:-$here/../../target}/release/attackers" "$root/root/"
boot $((seconds + 300)) attackers-inside.sh "$seconds" "${options[@]}"
