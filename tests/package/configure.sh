# Sourced inside the container: two networks with a broker each, certificates, and the package's
# configuration for them. A function `extra ROLE` may print more lines for a broker's configuration.

# Gives a side its NIC: with the namespace that it was moved to a veth goes, where a real NIC comes back.
plug() { # NETWORK ROLE NET
    ip link add nic-$2 type veth peer name $1 netns $1
    ip -n $1 address add $3.5/24 dev $1
    ip -n $1 link set $1 up
}

configure() {
    local side network role net part
    for side in plant:ot:10.10.0 enterprise:it:10.20.0; do
        IFS=: read -r network role net <<<"$side"
        ip netns add $network
        plug $network $role $net
        ip -n $network link set lo up
        sed -i "s/^INTERFACE=.*/INTERFACE=nic-$role/; s|^ADDRESS=.*|ADDRESS=$net.20/24|" /etc/sparkdiode/$role.net
    done
    sparkdiode lab-certs /root/certs >/dev/null
    for role in ot it; do
        for part in client.pem client.key; do
            install -m 0600 certs/$role-$part /etc/sparkdiode/credentials/$role/$part
        done
        install -m 0600 certs/$role-ca.pem /etc/sparkdiode/credentials/$role/ca.pem
        cp certs/$role-ca.pem certs/$role-server.pem certs/$role-server.key /run/
        chown mosquitto /run/$role-server.key
        {
            printf '%s\n' 'listener 8883' "cafile /run/$role-ca.pem" "certfile /run/$role-server.pem" \
                "keyfile /run/$role-server.key" 'require_certificate true' 'listener 1883 127.0.0.1' \
                'allow_anonymous true'
            if declare -F extra >/dev/null; then extra $role; fi
        } >/run/$role-broker.conf
    done
    ip netns exec plant mosquitto -d -c /run/ot-broker.conf
    ip netns exec enterprise mosquitto -d -c /run/it-broker.conf
    sed -i 's/^# server-name = .*/server-name = "localhost"/' /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml
    sed -i 's/broker.example.com/10.20.0.5/' /etc/sparkdiode/it.toml
}
