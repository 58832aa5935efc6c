"""The guarded runner: the only place that starts ffmpeg or ffprobe, on files that may be hostile.

What belongs here: starting one program without a shell, in its own session, an empty environment and an empty private
folder, under limits of memory, CPU, file size and open files, without network and other files where the system allows that; reading
its outputs, and feeding its input, under a stall clock and a wall clock; killing its whole group; telling a limit from an ordinary
failure. What does not: the limits' values and enforcement (`fence`), what it sees (`sandbox`), command lines (`commands`), what a failure
says about the video (`probe`, `sampling`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.failures import DamagedVideo, MachineTrouble, MediaToolTimeout
from reframer_pipeline.media.fence import Limits, fenced
from reframer_pipeline.media.sandbox import ENVIRONMENT, MESSAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

STDOUT: Final = 0
_STDERR: Final = -1
_STDIN: Final = -2
CHUNK: Final = 1 << 20
LIMIT_SIGNALS: Final = (signal.SIGKILL, signal.SIGXCPU, signal.SIGXFSZ)
_OUT_OF_MEMORY: Final = ("Cannot allocate memory", "std::bad_alloc", "out of memory", "MemoryError")


# A command line, or a function that composes it from the extra channels' descriptor numbers (for `pipe:N`).
Command = Sequence[str] | Callable[[tuple[int, ...]], Sequence[str]]


@dataclass(frozen=True)
class Completed:
    """A process that ended by itself within its limits: exit status, standard output, kept messages."""

    returncode: int
    stdout: bytes
    stderr: str


def run_guarded(argv: Sequence[str], limits: Limits, *, reads: Sequence[Path] = (), max_output: int = 16_000_000) -> Completed:
    """Runs a program to its end and returns what it said.

    Args:
        argv: The command.
        limits: What it may use.
        reads: The files that it reads.
        max_output: Most bytes that it may say.

    Raises:
        MediaToolMissing: The program is not installed.
        MediaToolTimeout: It ran into a limit.
        MachineTrouble: Its fence could not be put up.
        DamagedVideo: It wrote more than `max_output` bytes.
    """
    with GuardedProcess(argv, limits, reads=reads) as process:
        stdout = process.read(STDOUT, max_output + 1)
        if len(stdout) > max_output:
            raise DamagedVideo(f"{os.path.basename(argv[0])} reported more than {max_output} bytes about this file.")
        return Completed(process.wait(), stdout, process.stderr)


class GuardedProcess:
    """One running program and its output channels; leaving the `with` block kills whatever is left of its group.

    Channel 0 is standard output. Reading one channel takes in what arrives on the others meanwhile, so that a program
    with several outputs never blocks on one while another is awaited.

    Args:
        argv: The command, or what composes it.
        limits: What it may use.
        extra_channels: Output pipes beside standard output; the first is channel 1.
        fed: Whether it reads what `write` gives it; else its standard input is empty.
        reads: The files that it reads. It may see no others.
        writes: The files that it writes. They are made, empty.
    """

    def __init__(
        self,
        argv: Command,
        limits: Limits,
        *,
        extra_channels: int = 0,
        fed: bool = False,
        reads: Sequence[Path] = (),
        writes: Sequence[Path] = (),
    ) -> None:
        self._argv = argv
        self._limits = limits
        self._reads, self._writes = reads, writes
        self._fed = fed
        self._feeding = memoryview(b"")
        self._extra_channels = extra_channels
        self._buffers: list[bytearray] = [bytearray() for _ in range(1 + extra_channels)]
        self._filling, self._room = STDOUT, memoryview(b"")  # a channel, and what is still empty of the array that it fills
        self._open: set[int] = set()
        self._head, self._tail = bytearray(), bytearray()
        self._selector = selectors.DefaultSelector()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> GuardedProcess:
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="reframer-media-"))
            stack.callback(self._selector.close)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        pipes = [os.pipe() for _ in range(self._extra_channels)]
        writers = tuple(writer for _, writer in pipes)
        try:
            argv = list(self._argv(writers) if callable(self._argv) else self._argv)
            self.name = os.path.basename(argv[0])
            for path in self._writes:
                path.touch()
            self._process = subprocess.Popen(
                fenced(argv, self._limits, folder=self._folder, reads=self._reads, writes=self._writes),
                stdin=subprocess.PIPE if self._fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env=ENVIRONMENT,
                pass_fds=writers,
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            for reader, _ in pipes:
                os.close(reader)
            raise
        finally:
            for writer in writers:
                os.close(writer)
        stack.callback(self._end)
        self._deadline = time.monotonic() + self._limits.wall_s
        assert self._process.stdout is not None and self._process.stderr is not None
        readers = [os.dup(self._process.stdout.fileno()), *(reader for reader, _ in pipes)]
        for channel, reader in enumerate(readers):
            self._watch(reader, channel)
        self._watch(os.dup(self._process.stderr.fileno()), _STDERR)
        self._process.stdout.close()
        self._process.stderr.close()
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    def _watch(self, fd: int, channel: int) -> None:
        if sys.platform == "linux" and channel >= 0:
            import fcntl

            with contextlib.suppress(OSError):  # a larger pipe is only faster, and an account may have used up its share
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CHUNK)
        self._selector.register(fd, selectors.EVENT_READ, channel)
        self._open.add(channel)

    def _end(self) -> None:
        """Kills the group, reaps the leader, closes what is open."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.end_input()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)

    # --- reading

    def read(self, channel: int, size: int) -> bytes:
        """Exactly `size` bytes of a channel; fewer, or none, only where it ended. Raises MediaToolTimeout at a limit."""
        buffer = self._buffers[channel]
        self._pump_until(lambda: len(buffer) >= size, channel)
        with memoryview(buffer) as view:
            taken = bytes(view[:size])
        del buffer[:size]
        return taken

    def fill(self, channel: int, target: NDArray[Any]) -> bool:
        """Fills an array with the next bytes of a channel; False where it ended before. Raises MediaToolTimeout at a limit."""
        room = target.data.cast("B")
        there = self._buffers[channel][: len(room)]
        room[: len(there)] = there
        del self._buffers[channel][: len(there)]
        self._filling, self._room = channel, room[len(there) :]
        return self._pump_until(lambda: not self._room, channel)

    def lines(self, channel: int = STDOUT, *, longest: int = 65_536) -> Iterator[str]:
        """The lines of a channel as they come, without their ends. Raises MediaToolTimeout at a limit."""
        buffer = self._buffers[channel]
        while True:
            self._pump_until(lambda: b"\n" in buffer or len(buffer) > longest, channel)
            if not buffer:
                return
            end = buffer.find(b"\n")
            stop = len(buffer) if end < 0 else end
            line = bytes(buffer[:stop])
            del buffer[: stop + 1]
            yield line.decode("utf-8", "replace")

    # --- feeding

    def write(self, data: bytes | memoryview) -> bool:
        """Gives bytes to its standard input, and takes in what it says meanwhile; False where it takes no more.

        Raises MediaToolTimeout at a limit.
        """
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            return False
        self._feeding = memoryview(data).cast("B")
        self._selector.register(self._process.stdin, selectors.EVENT_WRITE, _STDIN)
        self._open.add(_STDIN)
        try:
            taken = self._pump_until(lambda: not self._feeding, _STDIN)
        finally:
            self._selector.unregister(self._process.stdin)
            self._open.discard(_STDIN)
        if not taken:
            self.end_input()
        return taken

    def end_input(self) -> None:
        """It is to be given no more."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self) -> int:
        """Exit status, after all outputs ended; its input ends first.

        Raises:
            MediaToolTimeout: The clock ran out, or a limit ended it.
            MachineTrouble: Its fence could not be put up, so it never began.
        """
        self.end_input()
        for channel in range(len(self._buffers)):
            while self._pump_until(lambda buffer=self._buffers[channel]: bool(buffer), channel):  # type: ignore[misc]
                self._buffers[channel].clear()
        self._pump_until(lambda: False, _STDERR)
        try:
            status = self._process.wait(timeout=max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._over("closed its outputs and did not end") from None
        ended_by = -status if status < 0 else status - 128  # the latter by the sandbox
        if ended_by in LIMIT_SIGNALS:
            raise self._over(f"was stopped at a resource limit ({signal.Signals(ended_by).name})")
        messages = self.stderr
        if status and messages.startswith(MESSAGE):
            raise MachineTrouble(f"{self.name} was not started: {messages.partition(chr(10))[0]}")
        # too many streams are answered with ENOMEM, too
        if status and "max_streams" not in messages and any(sign in messages for sign in _OUT_OF_MEMORY):
            raise self._over("wanted more memory than it may use")
        return status

    @property
    def stderr(self) -> str:
        """Its messages: all, or the beginning and the end of many."""
        gap = b"\n[...]\n" if len(self._tail) >= self._limits.stderr_bytes else b""
        return (self._head + gap + self._tail).decode("utf-8", "replace").strip()

    def _pump_until(self, satisfied: Callable[[], bool], channel: int) -> bool:
        """Takes in output until the caller has enough (True) or the channel has ended (False)."""
        silent_since = time.monotonic()  # the time the caller spent elsewhere is no stall
        while not satisfied():
            if channel not in self._open:
                return False
            now = time.monotonic()
            patience = min(silent_since + self._limits.stall_s, self._deadline) - now
            if patience <= 0:
                stalled = now < self._deadline
                raise self._over(f"wrote nothing for {self._limits.stall_s:g} s" if stalled else f"ran for {self._limits.wall_s:g} s")
            if self._take_in(patience):
                silent_since = time.monotonic()
        return True

    def _take_in(self, timeout: float) -> bool:
        """Reads once from whatever is ready; whether any of it was output rather than a message."""
        spoke = False
        for key, _ in self._selector.select(timeout):
            if key.data == _STDIN:
                spoke |= self._feed(key.fd)
                continue
            if key.data == self._filling and self._room:
                count = os.readv(key.fd, [self._room])
                self._room = self._room[count:]
            else:
                chunk = os.read(key.fd, CHUNK)
                count = len(chunk)
                self._keep(chunk) if key.data < 0 else self._hold(chunk, key.data)
            if not count:
                self._selector.unregister(key.fd)
                os.close(key.fd)
                self._open.discard(key.data)
            spoke |= count > 0 and key.data >= 0
        return spoke

    def _feed(self, fd: int) -> bool:
        try:
            self._feeding = self._feeding[os.write(fd, self._feeding[:CHUNK]) :]
            return True
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._open.discard(_STDIN)
            return False

    def _hold(self, chunk: bytes, channel: int) -> None:
        self._buffers[channel] += chunk
        if len(self._buffers[channel]) > self._limits.backlog_bytes:
            raise self._over("wrote its outputs too far out of step")

    def _keep(self, message: bytes) -> None:
        room = max(0, self._limits.stderr_bytes - len(self._head))
        self._head += message[:room]
        self._tail += message[room:]
        del self._tail[: -self._limits.stderr_bytes]

    def _over(self, what: str) -> MediaToolTimeout:
        return MediaToolTimeout(f"{self.name} {what} on this file.")
