#!/usr/bin/env bash
# Installs the Debian package in a fresh Debian 12 that is booted by systemd in a container, and
# uses it as an integrator would: configure, check, start, look, upgrade, remove, purge.
#
#   tests/package/container.sh target/debian/sparkdiode_*.deb
#
# Needs root, mmdebstrap and systemd-container. All networks are namespaces inside the container.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
deb=$(realpath "$1")
work=$(cd "$here/../.." && pwd)/target/package-test
mkdir -p "$work"
base=$work/debian.tar
packages=systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,iproute2,nftables,procps,iputils-ping,libcap2-bin
if [ ! -f "$base" ]; then
    mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$work/part.tar"
    mv "$work/part.tar" "$base"
fi
root=$(mktemp -d "$work/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
tar -xf "$base" -C "$root" --exclude './dev/*'
cp "$deb" "$root/root/sparkdiode.deb"
cp "$here/inside.sh" "$root/root/"
python3 "$here/messages.py" "$root/root"
# The same package with a higher version, to upgrade to.
dpkg-deb -R "$deb" "$root/root/next"
sed -i 's/^Version: .*/Version: 99.0-1/' "$root/root/next/DEBIAN/control"
dpkg-deb --root-owner-group -b "$root/root/next" "$root/root/next.deb" >/dev/null
rm -rf "$root/root/next"
cat >"$root/etc/systemd/system/try.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash -c '/root/inside.sh >/root/result 2>&1; echo "exit $?" >>/root/result'
ExecStopPost=/bin/systemctl --force --no-block poweroff
END
mkdir -p "$root/etc/systemd/system/default.target.wants"
ln -sf /etc/systemd/system/try.service "$root/etc/systemd/system/default.target.wants/"
ln -sf /dev/null "$root/etc/systemd/system/mosquitto.service"
timeout 300 systemd-nspawn --quiet --register=no --keep-unit --private-network --boot \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp" \
    --directory="$root" </dev/null >"$work/boot.log" 2>&1 || true
cat "$root/root/result" || { tail -50 "$work/boot.log"; exit 1; }
[ "$(tail -n 1 "$root/root/result")" = "exit 0" ]
