"""Prints the same few lines with the loggers of the Python world, each behind the
logger's name."""

import io
import logging
import sys


def show(name, write):
    out = io.StringIO()
    write(out)
    for line in out.getvalue().splitlines():
        print(f"{name}\t{line}")


def logger(fmt, formatter=logging.Formatter):
    def write(out):
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter(fmt))
        log = logging.Logger("cam", logging.DEBUG)
        log.addHandler(handler)
        log.debug("d")
        log.info("started")
        log.warning("warm")
        log.error("gone")
        log.critical("bad")

    return write


show("python-basic", logger(logging.BASIC_FORMAT))
show("python-time", logger("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
show("python-bracket", logger("[%(asctime)s] [%(levelname)s] %(message)s"))
show("python-level-first", logger("%(levelname)-8s %(asctime)s %(message)s"))

try:
    from pythonjsonlogger import jsonlogger

    show("python-json", logger("%(asctime)s %(levelname)s %(name)s %(message)s", jsonlogger.JsonFormatter))
except ImportError:
    print("no pythonjsonlogger", file=sys.stderr)

try:
    import structlog

    def structured(renderer):
        def write(out):
            log = structlog.wrap_logger(
                structlog.PrintLogger(out),
                processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"), renderer],
            )
            log.debug("d")
            log.info("started", fps=30)
            log.warning("warm", t=71.5)
            log.error("gone")
            log.critical("bad")

        return write

    show("structlog-json", structured(structlog.processors.JSONRenderer()))
    show("structlog-console", structured(structlog.dev.ConsoleRenderer(colors=False)))
    show("structlog-logfmt", structured(structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])))
except ImportError:
    print("no structlog", file=sys.stderr)
