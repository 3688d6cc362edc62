"""Prints what Python's loggers print, a file each in the folder named:
python3 generate.py ../.."""

import io
import logging
import pathlib
import sys

import structlog

folder = pathlib.Path(sys.argv[1])


def text(level):
    return f'speaks at {level}, "quoted" and café'


def write(name, out):
    (folder / f"{name}.log").write_text(out.getvalue())


def speak(log, **fields):
    log.debug(text("debug"), **fields)
    log.info(text("info"), **fields)
    log.warning(text("warn"), **fields)
    log.error(text("error"), **fields)
    log.critical(text("critical"), **fields)


def python(name, formats):
    out = io.StringIO()
    for format in formats:
        handler = logging.StreamHandler(out)
        handler.setFormatter(logging.Formatter(*format))
        log = logging.Logger("camera.sensor")
        log.addHandler(handler)
        speak(log)
    write(name, out)


python("python-timeless", [
    (logging.BASIC_FORMAT,),  # basicConfig's
    ("%(levelname)s %(name)s %(message)s",),
    ("[%(levelname)s] %(message)s",),
    ("%(name)s: %(levelname)-8s %(message)s",),
])
python("python", [
    ("%(asctime)s %(levelname)s %(message)s",),
    ("%(asctime)s - %(name)s - %(levelname)s - %(message)s",),
    ("%(asctime)s [%(levelname)s] %(name)s: %(message)s",),
    ("[%(asctime)s: %(levelname)s/%(processName)s] %(message)s",),  # Celery's
    ("%(levelname)s %(asctime)s %(module)s %(process)d %(message)s",),  # Django's verbose
    ("[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S %z"),  # gunicorn's
    ("[%(levelname)1.1s %(asctime)s %(name)s] %(message)s", "%Y-%m-%d %H:%M:%S"),  # Jupyter's
    ("%(asctime)s|%(levelname)s|%(message)s",),
])

p = structlog.processors


def structlogs(name, *processors):
    out = io.StringIO()
    log = structlog.wrap_logger(structlog.WriteLogger(out), processors=processors, wrapper_class=structlog.stdlib.BoundLogger)
    speak(log, sensor=3, service="own", big=12345678901234567890)
    write(name, out)


structlogs("structlog", p.add_log_level, p.TimeStamper(fmt="iso"), p.JSONRenderer())
structlogs("structlog-unix", p.add_log_level, p.TimeStamper(), p.JSONRenderer())
structlogs("structlog-timeless", p.add_log_level, p.JSONRenderer(sort_keys=True))
structlogs("structlog-logfmt", p.TimeStamper(fmt="iso"), p.add_log_level, p.LogfmtRenderer(key_order=["timestamp", "level", "event"]))
structlogs("structlog-console", p.add_log_level, p.TimeStamper(fmt="%Y-%m-%d %H:%M:%S"), structlog.dev.ConsoleRenderer(colors=False))
structlogs("structlog-console-colour", p.add_log_level, p.TimeStamper(fmt="iso"), structlog.dev.ConsoleRenderer(colors=True))
