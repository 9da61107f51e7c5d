#!/usr/bin/env python3
"""A worker in Python 3.9 or newer, with nothing but the standard library: takes runs of an agent of the gateway."""

import base64
import json
import os
import random
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from urllib.parse import urlsplit

URL = os.environ.get("GATEWAY_URL", "ws://127.0.0.1:18789/ws")
TOKEN = os.environ.get("GATEWAY_TOKEN")
AGENT = os.environ.get("AGENT", "helper")
CREDIT = int(os.environ.get("CREDIT", "4"))
WORD_S = float(os.environ.get("WORD_MS", "50")) / 1000  # how long it pretends to think about each word


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


def answer(run, delta):
    """Says a message again, word by word. Replace it with what your agent does; each run has a thread of its own."""
    words = str(run["event"]["payload"].get("content", "")).split()
    for word in words:
        time.sleep(WORD_S)
        delta(word + " ")  # raises Cancelled
    return " ".join(words)


class WebSocket:
    """As much of RFC 6455 as a client of the gateway needs: text in whole messages, pings, close."""

    def __init__(self, url):
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        port = parts.port or (443 if secure else 80)
        self.sock = socket.create_connection((parts.hostname, port), timeout=10)
        if secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=parts.hostname)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.sock.makefile("rb")
        self.lock = threading.Lock()
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self.reader.readline().decode().strip()
        while self.reader.readline().strip():
            pass
        if " 101 " not in status + " ":
            raise ConnectionError(f"the gateway answered {status!r}")
        # The gateway pings every 25 s by default: where nothing comes for so long, nobody is there.
        self.sock.settimeout(90)

    def send(self, frame):
        self._write(0x1, json.dumps(frame).encode())

    def receive(self):
        """The next message. Raises ConnectionError at the end."""
        message = b""
        while True:
            first, second = self._read(2)
            length = second & 0x7F
            if length >= 126:
                size = 2 if length == 126 else 8
                length = int.from_bytes(self._read(size), "big")
            payload = self._read(length)
            opcode = first & 0x0F
            if opcode == 0x8:
                code = int.from_bytes(payload[:2], "big")
                raise ConnectionError(f"closed with {code}: {payload[2:].decode(errors='replace')}")
            if opcode == 0x9:
                self._write(0xA, payload)
            elif opcode in (0x0, 0x1):
                message += payload
                if first & 0x80:
                    return json.loads(message)

    def close(self):
        try:
            self._write(0x8, struct.pack("!H", 1000))
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _write(self, opcode, payload):
        length = len(payload)
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
        mask = os.urandom(4)  # a client masks what it sends (§5.3)
        stretched = (mask * (length // 4 + 1))[:length]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
        with self.lock:
            self.sock.sendall(head + mask + masked.to_bytes(length, "big"))

    def _read(self, size):
        data = self.reader.read(size)
        if len(data) < size:
            raise ConnectionError("the connection was lost")
        return data


class Worker:
    def __init__(self):
        self.ws = None
        self.leases = set()  # the runs that it has
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def serve(self):
        """Connects, takes runs until the connection ends, and comes back."""
        wait = 0.25
        while not self.stopping.is_set():
            try:
                self.session()
                wait = 0.25
            except (OSError, ValueError) as error:
                print(f"{error}; trying again in {wait:.1f} s", file=sys.stderr, flush=True)
                self.stopping.wait(wait * (0.5 + random.random() / 2))
                wait = min(wait * 2, 15)

    def session(self):
        ws = self.ws = WebSocket(URL)
        client = {"id": "worker-python", "version": "1.0.0", "platform": sys.platform, "mode": "cli"}
        hello = {"type": "hello", "minProtocol": 1, "maxProtocol": 1, "client": client, "caps": ["agent"]}
        if TOKEN:
            hello["auth"] = {"token": TOKEN}
        ws.send(hello)
        self.register("register", CREDIT)
        try:
            while True:
                self.take(ws, ws.receive())
        except (OSError, ValueError):
            if not self.stopping.is_set():
                raise
        finally:
            ws.close()
            with self.lock:
                self.leases.clear()  # whatever it had is somebody else's now

    def register(self, name, credit):
        params = {"agent": AGENT, "credit": credit}
        self.ws.send({"type": "request", "id": name, "method": "worker.register", "params": params})

    def take(self, ws, frame):
        kind = frame.get("event") or frame["type"]
        if kind == "worker.run":
            run = frame["payload"]
            with self.lock:
                self.leases.add(run["lease"])
            threading.Thread(target=self.run, args=(ws, run), daemon=True).start()
        elif kind == "worker.cancel":
            with self.lock:
                self.leases.discard(frame["payload"]["lease"])
        elif kind in ("response", "hello-error") and frame.get("error"):
            message = f"{frame['error']['code']}: {frame['error']['message']}"
            if frame.get("id") == "register" or kind == "hello-error":
                if not frame["error"]["retryable"]:
                    sys.exit(message)
                raise ConnectionError(message)
            print(message, file=sys.stderr, flush=True)
        elif kind == "response" and frame["id"] == "register":
            print(f"takes runs of '{AGENT}' at {URL}", flush=True)

    def run(self, ws, run):
        lease = run["lease"]

        def delta(text):
            if lease not in self.leases:
                raise Cancelled
            ws.send({"type": "event", "id": lease, "event": "worker.delta", "payload": {"lease": lease, "text": text}})

        try:
            content = answer(run, delta)
            outcome = ("worker.complete", {"lease": lease, "content": content})
        except Cancelled:
            return
        except Exception as error:  # whatever it is, the gateway has to know
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            outcome = ("worker.fail", {"lease": lease, "error": {"message": "The worker failed."}})
        with self.lock:
            held = lease in self.leases
            self.leases.discard(lease)
        if held:
            try:
                ws.send({"type": "request", "id": lease, "method": outcome[0], "params": outcome[1]})
            except OSError:
                pass  # the connection is gone, and with it the lease

    def stop(self, *_):
        """Finishes what it has; what comes in meanwhile goes to other workers."""
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        self.stopping.set()
        try:
            self.register("drain", 0)
            while self.leases:
                time.sleep(0.05)
            time.sleep(0.05)
            self.ws.close()
        except (OSError, AttributeError):
            pass


if __name__ == "__main__":
    worker = Worker()
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    worker.serve()
