#!/usr/bin/env python3
"""A slow link before a server: what the server sends comes out at so many kilobits a second.

    slow_link.py PORT-OF-THE-SERVER

Prints the port it listens on. Each line on stdin is the new rate in kilobits a second; 0, as at the start, is
without bound. Ends with its stdin. Its own buffer towards the server is small, as that of a link is, so
that the server feels at once that nothing moves on.
"""
import socket
import sys
import threading
import time

STEP_SECONDS = 0.02
RECEIVE_BYTES = 4096

rate = {"kilobits": 0}


def carry(source, sink, is_limited):
    """Moves bytes until one side ends; then ends the other."""
    try:
        while True:
            kilobits = rate["kilobits"] if is_limited else 0
            size = max(1, int(kilobits * 125 * STEP_SECONDS)) if kilobits else 65536
            data = source.recv(size)
            if not data:
                break
            sink.sendall(data)
            if kilobits:
                time.sleep(len(data) / (kilobits * 125))
    except OSError:
        pass
    for one in (source, sink):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(listener, port):
    while True:
        browser, _from = listener.accept()
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        server.connect(("127.0.0.1", port))
        threading.Thread(target=carry, args=(server, browser, True), daemon=True).start()
        threading.Thread(target=carry, args=(browser, server, False), daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, int(sys.argv[1])), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for line in sys.stdin:
        rate["kilobits"] = float(line)


if __name__ == "__main__":
    main()
