"""A TCP proxy that counts bytes, and can go dead without closing anything."""

import contextlib
import socket
import threading


class Proxy:
    def __init__(self, target: str):
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._bytes = {"sent": 0, "received": 0}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self):
        """From now on nothing passes, and nothing is closed."""
        self._flowing.clear()

    def thaw(self):
        self._flowing.set()

    def traffic(self):
        """How many bytes clients have sent and received, TLS included."""
        with self._lock:
            return dict(self._bytes)

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            for name, source, sink in (("sent", client, server), ("received", server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pump, args=(name, source, sink), daemon=True).start()

    def _pump(self, name, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                with self._lock:
                    self._bytes[name] += len(data)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
