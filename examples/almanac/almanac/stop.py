"""A polite end for worker and clock: TERM and INT are asked for, never thrown into running code."""

import signal

_STOP = {signal.SIGTERM, signal.SIGINT}


def hold_signals() -> None:
    """Keep TERM and INT pending from here on; call it before anything else."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)


def asked() -> bool:
    """Whether a stop is pending."""
    return bool(_STOP & signal.sigpending())


def wait(seconds: float) -> bool:
    """Wait this long; True, and at once, where a stop is pending."""
    return signal.sigtimedwait(_STOP, seconds) is not None
