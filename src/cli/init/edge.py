#!/usr/bin/env python3
"""A Sparkplug B edge node for the laboratory: Plant1/Line4, with a temperature that may leave and a
recipe that may not. It needs nothing but Python."""

import math, select, socket, struct, sys, time

HOST, PORT = "127.0.0.1", @PORT@
NODE = "Plant1/{}/Line4"
INT64, FLOAT, BOOLEAN, STRING = 4, 9, 11, 12


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, kind, content):
    """One field of a protobuf message: 0 is a number, 2 is bytes, 5 is four bytes."""
    head = varint(number << 3 | kind)
    if kind == 0:
        return head + varint(content)
    return head + (varint(len(content)) if kind == 2 else b"") + content


def metric(name, datatype, value):
    value = {
        INT64: lambda: field(11, 0, value),
        FLOAT: lambda: field(12, 5, struct.pack("<f", value)),
        BOOLEAN: lambda: field(14, 0, int(value)),
        STRING: lambda: field(15, 2, value.encode()),
    }[datatype]()
    stamp = field(3, 0, int(time.time() * 1000))
    return field(2, 2, field(1, 2, name.encode()) + stamp + field(4, 0, datatype) + value)


def payload(metrics, seq=None):
    body = field(1, 0, int(time.time() * 1000)) + b"".join(metrics)
    return body if seq is None else body + field(3, 0, seq)


def text(content):
    return struct.pack(">H", len(content)) + content


def packet(kind, body):
    return bytes([kind]) + varint(len(body)) + body


def topic(message_type):
    return f"spBv1.0/{NODE.format(message_type)}".encode()


def connected():
    """A connection to the broker, which may still be starting."""
    for _ in range(100):
        try:
            return socket.create_connection((HOST, PORT))
        except ConnectionRefusedError:
            time.sleep(0.1)
    sys.exit(f"no broker at {HOST}:{PORT}")


class EdgeNode:
    def __init__(self):
        self.seq = 0
        bd_seq = metric("bdSeq", INT64, 0)
        will = text(topic("NDEATH")) + text(payload([bd_seq]))
        self.bd_seq = bd_seq
        self.socket = connected()
        # MQTT 3.1.1, clean session, with a will at QoS 1, keep alive 60 s.
        head = text(b"MQTT") + bytes([4, 0x0E]) + struct.pack(">H", 60)
        self.socket.sendall(packet(0x10, head + text(b"Line4") + will))
        answer = self.socket.recv(4)
        if answer[:1] != b"\x20" or answer[3:] != b"\x00":
            sys.exit(f"the broker refuses the session: {answer!r}")
        self.socket.sendall(packet(0x82, struct.pack(">H", 1) + text(topic("NCMD")) + b"\x01"))

    def publish(self, message_type, metrics):
        body = payload(metrics, self.seq)
        self.seq = (self.seq + 1) % 256
        self.socket.sendall(packet(0x30, text(topic(message_type)) + body))

    def birth(self, oil):
        self.seq = 0
        self.publish("NBIRTH", [
            self.bd_seq,
            metric("Node Control/Rebirth", BOOLEAN, False),
            metric("Temperature/Oil", FLOAT, oil),
            metric("Recipe/Name", STRING, "secret sauce"),
        ])


node = EdgeNode()
node.birth(60.0)
second = 0
while True:
    # Whatever comes with a command in it asks for a rebirth: nothing else is written here.
    ready, _, _ = select.select([node.socket], [], [], 1)
    oil = 60 + 5 * math.sin(second / 10)
    if ready:
        came = node.socket.recv(65536)
        if not came:
            sys.exit("the broker ended the connection")
        if came[0] & 0xF0 == 0x30:
            node.birth(oil)
        continue
    second += 1
    node.publish("NDATA", [metric("Temperature/Oil", FLOAT, oil)])
    if second % 20 == 0:
        node.socket.sendall(b"\xc0\x00")
