"""Ends in the way its argument names."""
import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time


class NamedError(Exception):
    def __str__(self):
        return "first line\nsecond line\n  and an indented one"


def deeper(depth, fail):
    if depth:
        deeper(depth - 1, fail)
    else:
        fail()


def plain():
    raise ValueError("boom")


def multiline():
    raise NamedError()


def noted():
    e = ValueError("with notes")
    e.add_note("a note")
    raise e


def during():
    try:
        {}["missing"]
    except KeyError:
        raise RuntimeError("while handling")


def cause():
    try:
        during()
    except RuntimeError as e:
        raise NamedError() from e


def recursion():
    recursion()


def group():
    problems = []
    for n in range(2):
        try:
            raise ValueError(f"number {n}")
        except ValueError as e:
            problems.append(e)
    try:
        raise ExceptionGroup("several", problems + [ExceptionGroup("inner", [KeyError("k")])])
    except ExceptionGroup as e:
        raise RuntimeError("after the group") from e


def nogroup():
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


def syntax():
    compile("def f(:\n    pass\n", "given.py", "exec")


def caret():
    x = {"a": {"b": None}}
    return x["a"]["b"]["c"]["d"] + 1


def thread():
    t = threading.Thread(target=plain, name="worker")
    t.start()
    t.join()
    print("ordinary line after", file=sys.stderr)


def logged():
    try:
        plain()
    except ValueError:
        logging.exception("it went wrong, and on it goes")
    print("ordinary line after", file=sys.stderr)


def task():
    async def fails():
        raise ValueError("in a task")

    async def main():
        asyncio.create_task(fails())
        await asyncio.sleep(0.01)

    asyncio.run(main())
    print("ordinary line after", file=sys.stderr)


def hook():
    sys.excepthook = lambda *_: {}["hooked"]
    plain()


def ignored():
    class Deleted:
        def __del__(self):
            plain()

    Deleted()
    print("ordinary line after", file=sys.stderr)


def segv():
    faulthandler.enable(all_threads=True)
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    faulthandler._sigsegv()


def abort():
    faulthandler.enable()
    os.abort()


def fatal():
    faulthandler._fatal_error_c_thread()


def overflow():
    faulthandler.enable()
    faulthandler._stack_overflow()


print("ordinary line before: Traceback is only a word here", file=sys.stderr)
deeper(2, {f.__name__: f for f in (
    plain, multiline, noted, during, cause, recursion, group, nogroup, syntax, caret,
    thread, logged, task, hook, ignored, segv, abort, fatal, overflow)}[sys.argv[1]])
