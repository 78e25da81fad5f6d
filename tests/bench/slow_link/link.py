#!/usr/bin/env python3
"""A cable of the benchmark `slow-link`: forwards Ethernet frames between two interfaces, each way late by so
much, and loses some, as sch_netem does where the kernel has it.

    link.py plain INTERFACE…              segments and checksums are made before the cable, not behind it
    link.py forward A B DELAY_MS LOSS_PERCENT SEED
"""
import ctypes, fcntl, heapq, random, select, socket, struct, sys, time

SIOCETHTOOL = 0x8946
# Checksums of what comes and goes, segmentation of both, scatter and gather.
SETTINGS = (0x15, 0x17, 0x1F, 0x24, 0x2C, 0x19)
IPV4 = b"\x08\x00"


def plain(names):
    with socket.socket() as some:
        for name in names:
            for setting in SETTINGS:
                value = (ctypes.c_uint32 * 2)(setting, 0)
                request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
                fcntl.ioctl(some, SIOCETHTOOL, request)


def forward(first, second, delay_ms, loss_percent, seed):
    delay, loss, chance = float(delay_ms) / 1e3, float(loss_percent) / 100, random.Random(int(seed))
    ends = []
    for name in (first, second):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        end.bind((name, 0))
        end.setblocking(False)
        ends.append(end)
    late, number = [], 0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, end, frame = heapq.heappop(late)
            try:
                end.send(frame)
            except OSError:
                pass
        wait = max(0.0, late[0][0] - now) if late else None
        for end in select.select(ends, [], [], wait)[0]:
            while True:
                try:
                    frame, (_, _, kind, _, _) = end.recvfrom(65536)
                except BlockingIOError:
                    break
                # What this process sends comes back to it as outgoing. Only IP is lost.
                if kind == socket.PACKET_OUTGOING or (frame[12:14] == IPV4 and chance.random() < loss):
                    continue
                number += 1
                other = ends[1] if end is ends[0] else ends[0]
                heapq.heappush(late, (time.monotonic() + delay, number, other, frame))


if __name__ == "__main__":
    {"plain": lambda *names: plain(names), "forward": forward}[sys.argv[1]](*sys.argv[2:])
