#!/usr/bin/python3
import os
import socket
import sys
import time


def notify(state):
    """sd_notify(3) without libsystemd."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(state.encode(), path)


def capture(frame, sensors):
    # flush: write each line at once, although stdout is a pipe
    print(f"frame {frame} of sensor {sensors[1]}{{{{frames}}}}{{{{__healthpool__frames_beats}}}}", flush=True)


print("camera starts{{temperature:42}}", flush=True)
print("WARNING: sensor is warm", file=sys.stderr)
notify("READY=1")
frame = 0
while True:
    frame += 1
    capture(frame, {} if os.path.exists("crash") else {1: 1})
    notify("WATCHDOG=1")
    time.sleep(0.1)
