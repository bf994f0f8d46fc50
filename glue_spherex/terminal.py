"""What the commands share: how a command line is read, values of options, the progress bar, Ctrl-C."""

import argparse
import signal
import sys
import threading
from contextlib import contextmanager

from .io.typed_values import FieldError, ranges_of, times_of

#: Exit statuses.
DONE, NOTHING, INTERRUPTED = 0, 2, 130
#: Silence after which it is said what is waited for.
_SLOW_S = 2.0


class CommandParser(argparse.ArgumentParser):
    """Reads a command line: options by their whole names, and an error is one line and where to look."""

    def __init__(self, **options):
        super().__init__(**{"allow_abbrev": False} | options)

    def parse_args(self, args=None, namespace=None):
        """As `argparse.ArgumentParser.parse_args`; it is the command that does not know an option, not the program."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            getattr(options, "parser", self).error(f"unrecognized arguments: {' '.join(unknown)}")
        return options

    def error(self, message):
        """End the program with the reason."""
        self.exit(NOTHING, f"{self.prog}: {message}\ntry '{self.prog} --help'\n")


def positive(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def detectors(text):
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of detectors such as 1,4") from None
    if not all(1 <= number <= 6 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: detectors are 1 to 6")
    return numbers


def pair(text):
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a pair such as 0.053,0.050") from None
    return x, y


def wavelength_ranges(text):
    return _typed(ranges_of, text)


def time_range(text):
    return _typed(times_of, text)


def _typed(read, text):
    """What an option holds, read as the fields of glue's dialog are."""
    try:
        return read(text)
    except FieldError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def progress_bar(unit, waiting=""):
    """A progress bar on standard error, if that is a terminal; `waiting` is said if nothing comes for a while."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None, leave=False, file=sys.stderr) as bar, told_if_slow(waiting) as arrived:

        def progress(done, total):
            arrived()
            bar.total = total
            bar.update(done - bar.n)

        yield progress


@contextmanager
def told_if_slow(sentence):
    """Say a sentence on the terminal if the block takes long; what it yields is called when there is nothing to say."""
    from tqdm import tqdm

    timer = threading.Timer(_SLOW_S, tqdm.write, [f"glue-spherex: {sentence}"], {"file": sys.stderr})
    timer.daemon = True
    is_terminal = getattr(sys.stderr, "isatty", bool)  # glue puts a log in its place that cannot be asked
    if sentence and is_terminal():
        timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


@contextmanager
def stop_on_interrupt(finishing="the images at work"):
    """Turn the first Ctrl-C into a request to stop, after `finishing`; the second one interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def request(number, frame):
        stop.set()
        print(f"glue-spherex: stopping after {finishing}; Ctrl-C again to give up", file=sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
