#!/usr/bin/env bash
# Runs as root inside the container; see attackers.sh. Prints figures, and what was broken.
set -uo pipefail
cd /root
export LC_ALL=C.UTF-8
seconds=$1
shift
failed=0
fault() {
    failed=1
    echo "FAILED  $*"
}
pid_of() { systemctl show -P MainPID "sparkdiode-$1"; }
within() { # SECONDS COMMAND…: polls a state of the system, up to a deadline.
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.2; done
}
log_of() { journalctl -u "sparkdiode-$1" --no-pager -o cat; }
said() { log_of "$1" | grep -q ": $2 "; }
# Both brokers keep what a subscriber hasn't taken yet, and have a socket for the attackers.
extra() { # ROLE
    printf '%s\n' "listener 0 /run/brokers/$1" 'allow_anonymous true' 'max_queued_messages 0'
}

dpkg -i sparkdiode.deb >/dev/null || exit 1
mkdir -p /run/brokers
chmod 777 /run/brokers
. ./configure.sh
configure
brokers=(--ot /run/brokers/ot --it /run/brokers/it)
within 10 test -S /run/brokers/ot -a -S /run/brokers/it || fault "a broker without its socket"
rm -f /etc/sparkdiode/policies/*.toml
./attackers policy >/etc/sparkdiode/policies/policy.toml
sparkdiode check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml >/root/checked 2>&1 || fault "the configuration"

./attackers before "${brokers[@]}" "$@" || fault "what is there before"
systemctl start sparkdiode.target sparkdiode-ot sparkdiode-it
within 60 said ot BROKER_UP || fault "the OT half doesn't connect"
within 60 said it STARTED || fault "the IT half doesn't start"
ot=$(pid_of ot) it=$(pid_of it)

echo "== all attackers for $seconds s"
./attackers "${brokers[@]}" --seconds "$seconds" "$@" || fault "the good node was harmed"

echo "== the units"
for role in ot it; do
    unit=sparkdiode-$role
    [ "$(pid_of $role)" = "${!role}" ] || fault "$unit has another process"
    [ "$(systemctl show -P NRestarts $unit)" = 0 ] || fault "$unit was restarted"
    [ "$(systemctl is-active $unit)" = active ] || fault "$unit isn't active"
    cgroup=/sys/fs/cgroup$(systemctl show -P ControlGroup $unit)
    # Resident memory of the process; that of the control group counts what of the journal is cached.
    resident=$(awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$(pid_of $role)/status")
    limit=$(($(systemctl show -P MemoryMax $unit) / 1048576))
    kills=$(awk '/^oom_kill / {print $2}' "$cgroup/memory.events" 2>/dev/null || true)
    peak=$(cat "$cgroup/memory.peak" 2>/dev/null || true)
    # Where this container has no control groups for memory, the process is compared with the figure.
    held="compared with"
    [ -z "$peak" ] || held="$((peak / 1048576)) MiB with its cache, held to"
    # Hundredths of a second of user and system time, so that this is tenths of a percent.
    cpu=$(awk -v seconds="$seconds" '{print int(($14 + $15) * 10 / seconds)}' "/proc/$(pid_of $role)/stat")
    echo "$unit: CPU $((cpu / 10)).$((cpu % 10)) %, memory $resident MiB at most ($held $limit MiB)," \
        "watchdog $(systemctl show -P WatchdogUSec $unit)"
    [ "$resident" -lt "$limit" ] || fault "$unit took $resident MiB"
    [ "${kills:-0}" = 0 ] || fault "$unit was killed for its memory"
done
echo "journal: $(du -sm /var/lib/sparkdiode/journal | cut -f1) MiB"
for role in ot it; do
    echo "== events of $role"
    log_of $role | grep -oE " $role: [A-Z_]+ " | sort | uniq -c | sort -rn | head -20
    for event in MISTAKE ACCOUNT_IMBALANCE FAILED FRAME_REFUSED; do
        ! said $role $event || fault "$role says $event"
    done
done
if [ $failed -gt 0 ]; then
    echo "== logs"
    journalctl --no-pager -u 'sparkdiode*' | tail -60
fi
[ $failed -eq 0 ]
