#!/usr/bin/python3
"""archive.py HOST:PORT APP prints the app's lines that are new to the consumer group `archive`.

Redis stores the group's position. A line counts as read once it is acknowledged, after it was
printed: a kill in between repeats it. Standard library only, Redis 5 or newer.
"""
import socket
import sys


class Redis:
    def __init__(self, address, db):
        host, port = address.rsplit(":", 1)
        self.file = socket.create_connection((host, int(port))).makefile("rwb")
        self.do("SELECT", db)

    def do(self, *args):
        self.file.write(b"*%d\r\n" % len(args))
        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            self.file.write(b"$%d\r\n%s\r\n" % (len(arg), arg))
        self.file.flush()
        answer = self.read()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError("redis has gone")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return rest


def main(address, app):
    stream, group, consumer = f"logs:app:{app}:info", "archive", "one"
    redis = Redis(address, 1)
    try:
        redis.do("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
    except RuntimeError as e:
        if not str(e).startswith("BUSYGROUP"):
            raise
    after = "0"  # first the lines that were read before but not acknowledged
    while True:
        answer = redis.do("XREADGROUP", "GROUP", group, consumer, "COUNT", 100, "BLOCK", 1000, "STREAMS", stream, after)
        entries = answer[0][1] if answer else []
        if after == "0" and not entries:
            after = ">"
        for id, fields in entries:
            if fields is None:  # trimmed before it was acknowledged
                print(f"{id.decode()} is gone", file=sys.stderr)
            else:
                message = dict(zip(fields[::2], fields[1::2]))[b"message"]
                # In one write, so that a kill cannot cut the line even with PYTHONUNBUFFERED.
                sys.stdout.write(f"{id.decode()} {message.decode(errors='replace')}\n")
                sys.stdout.flush()
            redis.do("XACK", stream, group, id)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
