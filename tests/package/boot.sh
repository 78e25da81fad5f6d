# Sourced. A fresh Debian 12, booted by systemd in a container, in which one script runs as root with
# the package beside it. Needs root, mmdebstrap and systemd-container. All networks are namespaces
# inside the container.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(cd "$here/../.." && pwd)/target/package-test
packages=systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,iproute2,nftables,procps,iputils-ping,libcap2-bin

# Makes `root`, with the package in it.
unpack() { # DEB
    mkdir -p "$work"
    local base=$work/debian.tar
    if [ ! -f "$base" ]; then
        mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$work/part.tar"
        mv "$work/part.tar" "$base"
    fi
    root=$(mktemp -d "$work/root.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    tar -xf "$base" -C "$root" --exclude './dev/*'
    cp "$1" "$root/root/sparkdiode.deb"
    cp "$here/configure.sh" "$root/root/"
    python3 "$here/messages.py" "$root/root"
}

# Boots, and runs a script of this directory; prints what it says.
boot() { # SECONDS SCRIPT ARGUMENT…
    local limit=$1 script=$2 units=${root:?}/etc/systemd/system
    shift 2
    cp "$here/$script" "$root/root/"
    cat >"$units/try.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/bash -c '/root/$script $* >/root/result 2>&1; echo "exit \$?" >>/root/result'
ExecStopPost=/bin/systemctl --force --no-block poweroff
UNIT
    mkdir -p "$units/default.target.wants"
    ln -sf /etc/systemd/system/try.service "$units/default.target.wants/"
    ln -sf /dev/null "$units/mosquitto.service"
    # `SPARKDIODE_OLDER`: a command that runs another one on an older kernel (`attack older 2`).
    # shellcheck disable=SC2086
    timeout "$limit" ${SPARKDIODE_OLDER:-} systemd-nspawn --quiet --register=no --keep-unit --private-network --boot \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp" \
        --directory="$root" </dev/null >"$work/boot.log" 2>&1 || true
    cat "$root/root/result" || {
        tail -50 "$work/boot.log"
        exit 1
    }
    [ "$(tail -n 1 "$root/root/result")" = "exit 0" ]
}
