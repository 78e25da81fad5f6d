#!/usr/bin/env bash
# Installs the Debian package in a fresh Debian 12 that is booted by systemd in a container, and
# uses it as an integrator would: configure, check, start, look, upgrade, remove, purge.
#
#   tests/package/container.sh target/debian/sparkdiode_*.deb
#
# Needs root, mmdebstrap and systemd-container. With SPARKDIODE_OLDER="ATTACK older 2" (ATTACK: the test
# program of tests/attack) all of it finds Landlock as Linux 6.1, Debian 12's own kernel, has it.
set -euo pipefail
deb=$(realpath "$1")
# shellcheck source=tests/package/boot.sh
. "$(dirname "$0")/boot.sh"
unpack "$deb"
# The same package with a higher version, to upgrade to.
dpkg-deb -R "$deb" "$root/root/next"
sed -i 's/^Version: .*/Version: 99.0-1/' "$root/root/next/DEBIAN/control"
dpkg-deb --root-owner-group -b "$root/root/next" "$root/root/next.deb" >/dev/null
rm -rf "$root/root/next"
boot 300 inside.sh
