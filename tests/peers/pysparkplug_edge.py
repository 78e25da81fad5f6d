"""An edge node of pysparkplug 0.6.1 with two devices, driven by lines on stdin.

Commands: `data N` (N updates of the node's and each device's counter), `deregister DEVICE`,
`register DEVICE`, `leave` (clean stop), `die` (without a DISCONNECT).
Every command is answered by a line on stdout once its messages are handed to the socket.
"""

import os
import sys
import threading

import pysparkplug as psp
from pysparkplug._time import get_current_timestamp as now


def counter(value):
    return psp.Metric(now(), "Line/Counter", psp.DataType.INT32, value=value)


def device(name):
    metrics = (
        counter(0),
        psp.Metric(now(), "Temperature", psp.DataType.FLOAT, value=20.5),
        psp.Metric(now(), "Comment", psp.DataType.STRING, value="from " + name),
        psp.Metric(now(), "Nothing", psp.DataType.DOUBLE, is_null=True),
    )
    return psp.Device(name, metrics)


def main():
    host, port, group, node = sys.argv[1:5]
    metrics = (counter(0), psp.Metric(now(), "Name", psp.DataType.STRING, value=node))
    client = psp.Client(client_id="pysparkplug-" + node)
    edge = psp.EdgeNode(group, node, metrics, client=client)
    for name in ("Pump", "Valve"):
        edge.register(device(name))

    # The library prepares the will once before it connects, and once more after the births.
    born = threading.Event()
    setup_will = edge._setup_will

    def announce():
        setup_will()
        if edge._connected:
            born.set()

    edge._setup_will = announce
    edge.connect(host, port=int(port))
    born.wait()
    print("connected", flush=True)

    value = 0
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "data":
            for _ in range(int(argument)):
                value += 1
                edge.update((counter(value),))
                for name in edge.devices:
                    edge.update_device(name, (counter(value),))
        elif command == "deregister":
            edge.deregister(argument)
        elif command == "register":
            edge.register(device(argument))
        elif command == "leave":
            edge.disconnect()
        elif command == "die":
            os._exit(9)
        print("done", value, flush=True)
        if command == "leave":
            return


main()
