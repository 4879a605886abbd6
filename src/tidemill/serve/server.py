"""A server process, from its start to its end: as a standby, live, and handing over to its successor.

Loaded only in a server, never by ``import tidemill``.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import TidemillError
from tidemill.edge import access, sockets
from tidemill.edge.access import Access
from tidemill.edge.guard import Guard
from tidemill.edge.listening import Listening
from tidemill.edge.reports import report, report_all
from tidemill.edge.tls import Tls
from tidemill.edge.token_file import token_file
from tidemill.models.predictor import Predictor
from tidemill.serve import control, log_layout
from tidemill.serve.answering import Answering
from tidemill.serve.application import Application
from tidemill.serve.hand_over import hand_over, take_over
from tidemill.serve.metrics import Metrics
from tidemill.serve.options import Options
from tidemill.serve.prediction_log import PredictionLog

_POLL_CONTROL_SECONDS = 0.2


class Server:
    """One process's server. Made in its event loop; ``run`` returns when it has ended.

    Attributes:
        options: What it was told.
        standby: Whether it still waits.
        handed_over: Whether a successor has its listening socket.
        control_file: Where its control socket is.
    """

    def __init__(self, options: Options, predictor: Predictor) -> None:
        self.options = options
        self.standby = options.standby
        self.handed_over = False
        self.listener: socket.socket | None = None
        self.control_file = control.socket_file(options.folder, options.environment, os.getpid())
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._taking_over = threading.Lock()
        self._abandoned = False
        self._began = stamp(now())
        self._metrics = Metrics()
        self._log = PredictionLog(
            log_layout.log_file(options.folder, options.environment),
            release=options.release,
            number=options.number,
            signature=predictor.signature,
        )
        self._answering = Answering(
            predictor,
            self._log,
            self._metrics,
            release=options.release,
            number=options.number,
            checking=options.standby,
        )
        self._tls = None if options.tls is None else Tls(*options.tls)
        self.access = Access(
            token_file(options.folder, options.environment),
            required=sockets.beyond_loopback(options.host),
            off=options.no_auth,
        )
        self._application = Application(
            name=options.name,
            number=options.number,
            release=options.release,
            environment=options.environment,
            predictor=predictor,
            answering=self._answering,
            log=self._log,
            counted=self._metrics,
            guard=Guard(options.hosts, options.origins, options.proxies),
            access=self.access,
            limits=options.limits,
        )
        self._listening = Listening(self._application, options.limits)

    async def run(self, ready: Callable[[dict[str, Any]], None], lifeline: int | None) -> None:
        """Serve until a signal, a ``stop``, or the end of a hand-over.

        Args:
            ready: Told once the server answers, with what ``status`` says.
            lifeline: A descriptor whose end of file means that nobody will tell a standby to take over.

        Raises:
            Conflict: ``port-taken``.
            InvalidInput: ``cannot-bind``.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)
        self._each_second()
        listener = control.listen(self.control_file)
        # By this the folder is found also where it was moved.
        folder = os.open(self.control_file.parent, os.O_RDONLY | os.O_DIRECTORY)
        threading.Thread(target=self._control, args=(listener,), name="control", daemon=True).start()
        try:
            if self.standby:
                private = sockets.bind("127.0.0.1", 0)
                await self.accept_on(private)
                self.listener = private
                if lifeline is not None:
                    self._loop.add_reader(lifeline, self._lifeline_moved, lifeline)
            else:
                await asyncio.to_thread(take_over, self)
            status = self.status()
            report("serving", **status)
            ready(status)
            await self._stopping.wait()
            await self._drain()
        finally:
            # The name is a successor's by now, or another's where this one had failed.
            control.take_away(folder, self.control_file.name, self._name.name)
            os.close(folder)
            self._answering.close()
            await self._log.close()
            report("ended", environment=self.options.environment, handed_over=self.handed_over)

    def stop(self) -> None:
        """Finish what is in flight and end. In the event loop only."""
        self._stopping.set()

    async def end(self) -> None:
        """The same, from another thread by ``in_loop``."""
        self.stop()

    def status(self) -> dict[str, Any]:
        """What the server says of itself."""
        options = self.options
        return {
            "protocol": control.PROTOCOL,
            "environment": options.environment,
            "name": options.name,
            "release": options.release,
            "number": options.number,
            "pid": os.getpid(),
            "address": None if self.listener is None else sockets.url(self.listener, self._scheme),
            "control": str(self.control_file if self.standby else self._name),
            "started_at": self._began,
            "standby": self.standby,
            "told": dict(options.told),
            "in_flight": self._metrics.in_flight,
        }

    @property
    def _scheme(self) -> str:
        return "https" if self._tls is not None and not self.standby else "http"

    @property
    def _name(self) -> Path:
        return control.socket_file(self.options.folder, self.options.environment)

    def take_name(self) -> None:
        """Be found as the environment's live server."""
        control.give_name(self.control_file, self._name)

    def in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the event loop and wait for it. From another thread only."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def accept_on(self, listener: socket.socket) -> None:
        """Take connections from a listening socket, which stays the caller's."""
        # A standby's own address is this machine's, and its name is in no certificate.
        await self._listening.accept_on(listener, None if self.standby else self._tls)

    async def accept_only_on(self, listener: socket.socket | None) -> None:
        """Take no more connections from any other."""
        for other in self._listening.accept_only_on(listener):
            if other is not self.listener:
                other.close()

    async def adopt(self, given: list[socket.socket]) -> None:
        """Go on with connections that another process had."""
        if self._tls is None:
            await self._listening.adopt(given)
            return
        # The predecessor spoke plain HTTP with them.
        for connection in given:
            connection.close()

    async def become_live(self, listener: socket.socket) -> None:
        """Take connections from the environment's own socket: what comes is traffic now, no check."""
        self.standby = self._answering.checking = False
        self._log.keep_only(self.options.keep)
        self.listener = listener
        await self.accept_on(listener)

    async def become_silent(self, *, draining: bool) -> None:
        """Stop taking connections, or, where the successor failed, take them again."""
        self._application.draining = draining
        if draining:
            await self.accept_only_on(None)
        elif self.listener is not None:
            await self.accept_on(self.listener)

    async def give_away_idle(self) -> tuple[list[socket.socket], int]:
        """The sockets of the connections on which nothing is on its way, and how many others are left."""
        return self._listening.give_away_idle()

    def _each_second(self) -> None:
        self._listening.sweep()
        self.access.refresh()
        if self._tls is not None:
            self._tls.refresh()
        self._loop.call_later(1.0, self._each_second)

    def _lifeline_moved(self, lifeline: int) -> None:
        if os.read(lifeline, 4096):
            return
        self._loop.remove_reader(lifeline)
        self._abandoned = True
        if self.standby and self._taking_over.acquire(blocking=False):
            # Held for good: a take-over that comes now is too late.
            report("abandoned", environment=self.options.environment)
            self.stop()

    async def _drain(self) -> None:
        await self.become_silent(draining=True)
        # After a hand-over there was time already, and what is left has had it.
        await self._listening.drain(0.0 if self.handed_over else self.options.limits.drain_seconds)

    def _control(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                # Without a descriptor left there is none for this verb; there may be one in a moment.
                report("control-failed", error=repr(error))
                time.sleep(_POLL_CONTROL_SECONDS)
                continue
            threading.Thread(target=self._converse, args=(connection,), name="verb", daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        channel = control.Channel(connection)
        try:
            message = channel.receive() or {}
            match message.get("verb"):
                case "status":
                    channel.send(
                        {**self.status(), "not_ready": self._not_ready(), "not_renewed": self._not_renewed()}
                    )
                case "access":
                    # Whoever may open this socket owns the environment.
                    certificate = self._tls.certificate if self._tls and not self.standby else None
                    channel.send({"token": self.access.own, "certificate": certificate})
                case "read_tokens":
                    self.in_loop(self._read_tokens())
                    channel.send(self.status())
                case "stop":
                    channel.send(self.status())
                    self._loop.call_soon_threadsafe(self.stop)
                    # The other side reads the end of this process as the end of this connection.
                    threading.Event().wait()
                case "take_over":
                    channel.send(self._guarded(lambda: take_over(self)))
                case "hand_over":
                    hand_over(self, channel)
                case verb:
                    channel.send(
                        {"error": {"code": codes.UNKNOWN_VERB, "message": f"There is no verb {verb!r}."}}
                    )
        except (OSError, ValueError) as error:
            report("control-failed", error=repr(error))
        finally:
            channel.close()

    def _not_ready(self) -> dict[str, Any] | None:
        """Why it answers no prediction, as ``/v2/models/NAME/ready`` says it; None where it does."""
        # The loop is asked only where something is wrong: else it may be at work for long.
        error = None if self._log.seems_fine else self.in_loop(self._log.failure())
        return None if error is None else error.to_json()

    def _not_renewed(self) -> dict[str, Any] | None:
        """Why it shows another certificate than its files hold now."""
        error = self._tls.not_renewed if self._tls else None
        return None if error is None else error.to_json()

    async def _read_tokens(self) -> None:
        self.access.refresh()

    def _guarded(self, work: Callable[[], None]) -> dict[str, Any]:
        if not self._taking_over.acquire(blocking=False):
            return {
                "error": {"code": codes.ENDING, "message": "The standby is ending, or takes over already."}
            }
        try:
            if self.standby:
                work()
            return self.status()
        except TidemillError as error:
            return {"error": error.to_json()}
        finally:
            self._taking_over.release()
            if self.standby and self._abandoned:
                # Whoever started it died meanwhile, so nobody will tell it to try again.
                self._loop.call_soon_threadsafe(self.stop)


def serve(options: Options) -> None:
    """Load the predictor and serve it, until told to end."""
    import uvloop  # noqa: PLC0415

    file = token_file(options.folder, options.environment)
    beyond = sockets.beyond_loopback(options.host)
    access.check_start(
        options.environment, beyond_loopback=beyond, off=options.no_auth, file=file, told=options.told
    )
    in_clear = options.tls is None and not options.proxies
    for words in access.warnings(
        options.environment, beyond_loopback=beyond, off=options.no_auth, in_clear=in_clear
    ):
        report("warning", message=words)
    first = sys.stdout
    report_all()
    predictor = Predictor.load(options.bundle)
    # What is there now stays; and a large body is millions of lists, none of them a circle.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    def ready(status: dict[str, Any]) -> None:
        print(json.dumps(status), file=first, flush=True)  # the one line that whoever started it waits for
        # Nobody reads on: what code in C prints belongs in the log.
        os.dup2(2, first.fileno())

    async def main() -> None:
        await Server(options, predictor).run(ready, 0 if options.standby else None)

    uvloop.run(main())
