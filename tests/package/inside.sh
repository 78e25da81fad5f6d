#!/usr/bin/env bash
# Runs as root inside the container; see container.sh. Prints one line per check.
set -uo pipefail
cd /root
passed=0
failed=0
export LC_ALL=C.UTF-8

check() { # DESCRIPTION COMMAND…
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what: $*"
        printf '%s\n' "$output" | sed 's/^/        /'
    fi
}
refused() { ! "$@"; }
equals() { [ "$1" = "$2" ] || { echo "got \`$1\`, wanted \`$2\`"; return 1; }; }
within() { # SECONDS COMMAND…: polls a state of the system, up to a deadline.
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.2; done
}
pid_of() { systemctl show -P MainPID "sparkdiode-$1"; }
restarts_of() { systemctl show -P NRestarts "sparkdiode-$1"; }
is_active() { [ "$(systemctl is-active "$1")" = active ]; }
mode_of() { stat -c '%A %U:%G' "$1"; }

echo "== install"
check "the package installs" dpkg -i sparkdiode.deb
check "nothing runs yet" refused systemctl is-active --quiet sparkdiode-ot sparkdiode-it sparkdiode-send sparkdiode-receive
check "and nobody has enabled it" refused systemctl is-enabled --quiet sparkdiode-send sparkdiode-receive
for role in ot it ot-names it-names send receive; do
    check "user sparkdiode-$role is in its own group alone" \
        equals "$(id -nG sparkdiode-$role)" "sparkdiode-$role"
done
check "the journal: OT writes, IT reads, nobody else" \
    equals "$(mode_of /var/lib/sparkdiode/journal)" "drwxr-s--- sparkdiode-ot:sparkdiode-it"
check "the received journal: the receiving end writes, IT reads, nobody else" \
    equals "$(mode_of /var/lib/sparkdiode/received)" "drwxr-s--- sparkdiode-receive:sparkdiode-it"
check "credentials are root's" equals "$(mode_of /etc/sparkdiode/credentials/ot)" "drwx------ root:root"
check "man pages are there" test -f /usr/share/man/man1/sparkdiode.1.gz -a -f /usr/share/man/man7/sparkdiode-hardening.7.gz \
    -a -f /usr/share/man/man5/sparkdiode-policy.5.gz
check "a page of the manual is printed" sparkdiode help policy
check "a code is explained" sparkdiode explain P112
check "the units are right" systemd-analyze verify --man=no \
    /usr/lib/systemd/system/sparkdiode-ot.service /usr/lib/systemd/system/sparkdiode-it.service \
    /usr/lib/systemd/system/sparkdiode-send.service /usr/lib/systemd/system/sparkdiode-receive.service \
    /usr/lib/systemd/system/sparkdiode.target /usr/lib/systemd/system/sparkdiode-netns@.service \
    /usr/lib/systemd/system/sparkdiode-resolve@.service /usr/lib/systemd/system/sparkdiode-resolve@.timer

echo "== a start without configuration is refused, and says what is missing"
systemctl start sparkdiode-ot 2>/dev/null
check "no namespace without a NIC" refused ip netns exec sparkdiode-ot true
check "the log names the file and the key" \
    grep -q "ot.net: INTERFACE is empty" <(journalctl -u sparkdiode-netns@ot --no-pager)

echo "== init, where the package is"
init() { sparkdiode init --appliance --group Plant1 --edge-node Line4 --it-broker 10.20.0.5:8883 "$@"; }
as_shipped() { [ -z "$(dpkg --verify sparkdiode)" ]; }
check "the package's files are as it brought them" as_shipped
check "no laboratory is made over it" refused sparkdiode init /etc/sparkdiode
check "who isn't root is told what is there" grep -q "ot.toml .*as it is shipped" \
    <(setpriv --reuid nobody --regid nogroup --clear-groups sparkdiode init --appliance /etc/sparkdiode)
check "and that root has something to make" grep -q "sparkdiode init --appliance /etc/sparkdiode" \
    <(setpriv --reuid nobody --regid nogroup --clear-groups sparkdiode init --appliance /etc/sparkdiode)
check "root makes the policy that is missing" grep -qx "  /etc/sparkdiode/policies/first.toml" <(init /etc/sparkdiode)
check "and changes nothing" as_shipped
check "the next commands" grep -q "editor /etc/sparkdiode/ot.net" <(init /etc/sparkdiode)
check "a configuration elsewhere is read by nobody, and it says so" grep -q "nothing reads what was made here" <(init /root/elsewhere)
check "which changes nothing either" as_shipped
init /etc/sparkdiode | grep '^  sed ' >/root/printed
check "a command for what was given" equals "$(wc -l </root/printed)" 1
check "it can be pasted" bash -e /root/printed
check "and sets the address" grep -qx 'address = "10.20.0.5:8883"' /etc/sparkdiode/it.toml

echo "== configure"
. ./configure.sh
configure
check "what is configured isn't asked for again" refused grep -qE "editor .*(net|ot.toml)|sed |install -m|made:" <(init /etc/sparkdiode)
# Local logs: the one thing for which a sealed half has a socket of the machine.
for role in ot it; do
    printf '%s\n' '[[syslog]]' 'to = "journald"' >>/etc/sparkdiode/$role.toml
done
check "the configuration is right" sparkdiode check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml
check "and no credential goes unseen" refused grep -q "not looked at" \
    <(sparkdiode check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml 2>&1)
check "and right for the sandbox" sparkdiode sandbox check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml
check "which says that journald takes datagrams" grep -q "local log *yes  .*takes datagrams" \
    <(sparkdiode sandbox check /etc/sparkdiode/ot.toml)

echo "== start"
ip netns exec enterprise mosquitto_sub -h 127.0.0.1 -p 1883 -t 'spBv1.0/Plant1/#' -F '%t %X' >/run/seen 2>/dev/null &
seen=$!
check "everything starts" systemctl enable --now sparkdiode.target sparkdiode-ot sparkdiode-it
for role in ot it; do
    check "the $role half runs" within 20 is_active sparkdiode-$role
    check "as its own user" equals "$(stat -c %U /proc/"$(pid_of $role)")" "sparkdiode-$role"
    check "in its own network" \
        equals "$(ip netns identify "$(pid_of $role)")" "sparkdiode-$role"
    check "without a listening socket" \
        equals "$(ip netns exec sparkdiode-$role ss -Hltun | wc -l)" 0
    check "without capabilities" grep -qx "CapBnd:[[:space:]]*0*" /proc/"$(pid_of $role)"/status
    check "exposure is at most 0.9" \
        systemd-analyze security --no-pager --threshold=9 sparkdiode-$role.service
done
check "the host reaches neither network" refused ping -c1 -W1 10.10.0.5
# What is published before the relay has subscribed is lost, so it is repeated until it is seen.
arrives() { # NBIRTH or NDATA
    ip netns exec plant mosquitto_pub -h 127.0.0.1 -p 1883 -t "spBv1.0/Plant1/$1/Line4" -f "/root/${1,,}"
    grep -q "^spBv1.0/Plant1/$1/Line4" /run/seen
}
check "the birth is on the enterprise broker" within 20 arrives NBIRTH
check "the data too" within 20 arrives NDATA
check "nothing denied is in the journal or on the IT side" refused grep -rq "secret sauce" /var/lib/sparkdiode/journal /var/lib/sparkdiode/it
segment=$(find /var/lib/sparkdiode/journal -type f | head -n 1)
check "segments are OT's to write and IT's to read" \
    equals "$(mode_of "$segment")" "-rw-r----- sparkdiode-ot:sparkdiode-it"
check "the journal is whole" sparkdiode journal verify /var/lib/sparkdiode/journal

echo "== tools beside the halves"
tools=/var/lib/sparkdiode/tools
# A message now and then, while something records.
sends() { # COMMAND…
    "$@" &
    local tool=$!
    while kill -0 $tool 2>/dev/null; do
        ip netns exec plant mosquitto_pub -h 127.0.0.1 -p 1883 -t spBv1.0/Plant1/NBIRTH/Line4 -f /root/nbirth
        ip netns exec plant mosquitto_pub -h 127.0.0.1 -p 1883 -t spBv1.0/Plant1/NDATA/Line4 -f /root/ndata
        sleep 0.3
    done
    wait $tool
}
check "capture records the plant" sends sparkdiode-tool ot capture --config /etc/sparkdiode/ot.toml -o plant.capture --for 3s
check "a recording that has its messages" grep -q Plant1 $tools/ot/plant.capture
check "and is the half's own" equals "$(mode_of $tools/ot/plant.capture)" "-rw------- sparkdiode-ot:sparkdiode-ot"
check "learn drafts a policy" sends sparkdiode-tool ot policy learn --config /etc/sparkdiode/ot.toml -o draft.toml --for 3s
check "which is one" sparkdiode check $tools/ot/draft.toml
for role in ot it; do
    check "the $role side's logs take every event" sparkdiode-tool $role events --send /etc/sparkdiode/$role.toml
done
check "a tool writes nowhere else" refused sparkdiode-tool ot capture --config /etc/sparkdiode/ot.toml -o /etc/sparkdiode/x.capture --for 1s
check "and is no way around the units" refused sparkdiode-tool ot ot --config /etc/sparkdiode/ot.toml
check "the OT half never noticed" equals "$(restarts_of ot)" 0

echo "== nobody to meet"
seen_by() { # ROLE PATH: the path as a half's mounts have it.
    echo "/proc/$(pid_of "$1")/root$2"
}
# Not `-type s`: to `find`, a mounted socket is what lies below it.
sockets_below() {
    find "$@" -exec test -S {} \; -print | sed 's|.*/root||' | sort | tr '\n' ' '
}
for role in ot it; do
    check "the $role half's mounts can be looked into" test -x "$(seen_by $role /usr/bin/sparkdiode)"
    root=$(seen_by $role "")
    check "of /run it sees three sockets" equals \
        "$(sockets_below "$root/run" "$root/tmp" "$root/var/tmp" "$root/dev/shm")" \
        "/run/systemd/journal/dev-log /run/systemd/journal/socket /run/systemd/notify "
    check "and no message bus" refused test -e "$root/run/dbus"
    check "/dev/shm is nobody's" refused touch "$root/dev/shm/word"
    check "/run is nobody's" refused touch "$root/run/word"
    check "journald has what the $role half says" within 10 journalctl -q -n 1 SPARKDIODE_HALF=$role
done
# The unit of a half, with a program that asks the message bus in its place: once as it is, and once
# with the machine's own /run.
asks_the_bus() { # NAME SED-SCRIPT
    sed -e 's|^ExecStart=.*|ExecStart=/usr/bin/busctl --system --timeout=5 list|' -e 's/^Type=.*/Type=oneshot/' \
        -e '/^Restart/d' -e '/^WatchdogSec/d' -e '/^NotifyAccess/d' -e '/^ExecReload/d' -e "$2" \
        /usr/lib/systemd/system/sparkdiode-it.service >"/run/systemd/system/$1.service"
    systemctl daemon-reload
    systemctl start "$1"
}
check "with the machine's /run a half could ask the message bus" \
    asks_the_bus meets '/^TemporaryFileSystem/d; /^BindReadOnlyPaths/d'
check "as it is shipped it can't" refused asks_the_bus meets-not ''
check "since the bus isn't there" grep -qi "no such file" <(journalctl -q -u meets-not --no-pager)

echo "== each side's network"
check "the OT namespace reaches its broker" ip netns exec sparkdiode-ot timeout 3 bash -c '</dev/tcp/10.10.0.5/8883'
check "and no other port" refused ip netns exec sparkdiode-ot timeout 1 bash -c '</dev/tcp/10.10.0.5/22'
check "and not the other network" refused ip netns exec sparkdiode-ot ping -c1 -W1 10.20.0.5
check "the IT namespace doesn't reach the plant" refused ip netns exec sparkdiode-it ping -c1 -W1 10.10.0.5

echo "== the ends of a link: nothing goes back, and nobody is asked"
systemctl start sparkdiode-netns@receive 2>/dev/null
check "without a NIC there is no end" grep -q "receive.net: LINKS is empty" <(journalctl -u sparkdiode-netns@receive --no-pager)
ip link add link-send type veth peer name link-receive
receiver=$(cat /sys/class/net/link-receive/address)
sed -i "s|^LINKS=.*|LINKS=\"link-send,192.168.77.1/30,192.168.77.2,$receiver\"|" /etc/sparkdiode/send.net
sed -i 's|^LINKS=.*|LINKS="link-receive,192.168.77.2/30"|' /etc/sparkdiode/receive.net
check "their namespaces are made" systemctl start sparkdiode-netns@receive sparkdiode-netns@send
says() { # PORT: whether the sending end may send to it
    ip netns exec sparkdiode-send bash -c "echo x >/dev/udp/192.168.77.2/$1"
}
packets() { ip netns exec "sparkdiode-$1" cat "/sys/class/net/link-$1/statistics/rx_packets"; }
check "datagrams of the link leave" says 7400
check "others don't" refused says 7401
check "and come, without anybody having been asked" equals "$(packets receive)" 1
check "the receiving end can't send" refused ip netns exec sparkdiode-receive bash -c "echo x >/dev/udp/192.168.77.1/7400"
check "not a packet came back, not ARP either" equals "$(packets send)" 0
tells() { # ROLE WORDS: whether doctor says so of this end
    local said
    said=$(ip netns exec "sparkdiode-$1" sparkdiode doctor "/etc/sparkdiode/$1.toml" 2>&1)
    grep -q "$2" <<<"$said" || { echo "$said"; return 1; }
}
check "a key is made" sparkdiode link-key /etc/sparkdiode/credentials/receive/link.key
install -m 0400 /etc/sparkdiode/credentials/receive/link.key /etc/sparkdiode/credentials/send/link.key
check "doctor finds nothing wrong with the path" tells send "ok .* leaves by link-send, and nobody is asked"
check "nor with the other end" tells receive "ok .* comes by link-receive, which says nothing"
# The sending end's unit takes the journal for its own group.
systemctl stop sparkdiode-it
for role in receive send; do
    check "the unit of $role starts" systemctl start sparkdiode-$role
    check "and runs as its own user" equals "$(ps -o user:32= -p "$(pid_of $role)")" sparkdiode-$role
    check "exposure is at most 0.9" systemd-analyze security --no-pager --threshold=9 sparkdiode-$role
done
heard() { journalctl -q --no-pager -u sparkdiode-receive | grep -q "$1"; }
check "the receiving end hears it" within 20 heard "LINK_SESSION"
crossed() { sparkdiode journal cat /var/lib/sparkdiode/received | grep -q heartbeat; }
check "the journal crosses" within 20 crossed
check "the received journal is whole" sparkdiode journal verify /var/lib/sparkdiode/received
check "still not a packet came back" equals "$(packets send)" 0
systemctl stop sparkdiode-receive sparkdiode-send sparkdiode-netns@receive sparkdiode-netns@send
check "both ended well" equals "$(systemctl show -P Result sparkdiode-receive) $(systemctl show -P Result sparkdiode-send)" "success success"
chgrp -R sparkdiode-it /var/lib/sparkdiode/journal
check "nobody reaches the OT half" refused ip netns exec plant ping -c1 -W1 10.10.0.20

echo "== a broker that moves"
check "no name is looked up where nobody asks for it" \
    equals "$(systemctl show -P Result sparkdiode-resolve@it)" exec-condition
echo "10.20.0.5 broker.enterprise" >>/etc/hosts
sed -i 's|^PEERS=.*|PEERS="10.20.0.5:8883/tcp 10.20.0.6:8883/tcp"|' /etc/sparkdiode/it.net
sed -i 's/^address = "10.20.0.5:8883"/address = "broker.enterprise:8883"/; s/^# addresses-file/addresses-file/' \
    /etc/sparkdiode/it.toml
systemctl stop sparkdiode-it sparkdiode-netns@it
# The kernel takes a namespace down behind whoever asked for it, and its end of the cable with it.
check "the old cable is gone" within 20 refused ip -n enterprise link show enterprise
plug enterprise it 10.20.0
ip -n enterprise address add 10.20.0.6/24 dev enterprise
check "the rules are loaded" systemctl start sparkdiode-netns@it
check "the half starts with them" systemctl start sparkdiode-it
is_at() { ip netns exec sparkdiode-it ss -Htn state established "dst $1" | grep -q .; }
check "it is at its broker, by name" within 20 is_at 10.20.0.5
check "whose addresses a user of their own keeps" equals "$(mode_of /var/lib/sparkdiode/it-names/broker)" \
    "-rw-r--r-- sparkdiode-it-names:sparkdiode-it-names"
before=$(pid_of it)
sed -i 's/^10.20.0.5 broker/10.20.0.6 broker/' /etc/hosts
check "it is reloaded" systemctl reload sparkdiode-it
said() { journalctl -q --no-pager -u sparkdiode-it | grep -q "$1"; }
check "and says where the broker is" within 10 said "BROKER_ADDRESSES .*10.20.0.6"
# Its sessions end, as with a broker that goes.
pkill -f it-broker.conf
check "the broker is gone" within 10 refused pgrep -f it-broker.conf
ip netns exec enterprise mosquitto -d -c /run/it-broker.conf
check "the next sessions are there" within 30 is_at 10.20.0.6
check "of the same process" equals "$(pid_of it)" "$before"
sed -i 's/^10.20.0.6 broker/10.20.0.5 broker/' /etc/hosts
check "a name is looked up by itself" systemctl start sparkdiode-resolve@it
check "and the half takes the address up without a reload" within 10 said "BROKER_ADDRESSES .*before=10.20.0.6"
check "or again and again" systemctl start sparkdiode-resolve@it.timer
systemctl stop sparkdiode-resolve@it.timer
check "exposure of what looks it up is at most 0.9" \
    systemd-analyze security --no-pager --threshold=9 sparkdiode-resolve@it.service

echo "== the IT half fails"
ot_before=$(pid_of ot)
it_before=$(pid_of it)
# Process 0 would be this script's own group.
[ "$it_before" -gt 1 ] && kill -9 "$it_before"
restarted() { [ "$(pid_of it)" != "$it_before" ] && is_active sparkdiode-it; }
check "it comes back by itself" within 20 restarted
check "the OT half never noticed" equals "$(pid_of ot) $(restarts_of ot)" "$ot_before 0"

echo "== upgrade"
echo "# changed by the operator" >>/etc/sparkdiode/ot.toml
check "a newer package installs" dpkg -i next.deb
check "the operator's configuration stays" grep -q "changed by the operator" /etc/sparkdiode/ot.toml
check "the OT half was restarted" refused equals "$(pid_of ot)" "$ot_before"
check "both halves run" within 20 systemctl is-active --quiet sparkdiode-ot sparkdiode-it
check "the journal is whole" sparkdiode journal verify /var/lib/sparkdiode/journal

echo "== remove, purge"
kill $seen || true
check "the package goes" dpkg -r sparkdiode
check "nothing runs" refused pgrep -x sparkdiode
check "no namespace is left" refused ip netns exec sparkdiode-ot true
check "configuration and journal stay" test -f /etc/sparkdiode/ot.toml -a -d /var/lib/sparkdiode/journal
check "purge" dpkg -P sparkdiode
check "nothing is left" refused test -e /etc/sparkdiode -o -e /var/lib/sparkdiode

if [ $failed -gt 0 ]; then
    echo "== logs"
    journalctl --no-pager -u 'sparkdiode*' | tail -60
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
