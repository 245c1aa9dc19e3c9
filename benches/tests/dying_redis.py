#!/usr/bin/env python3
import os, socketserver, sys
if "--version" in sys.argv:
    print("Redis 0 that dies")
    sys.exit()
class Dying(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                words.append(self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2])
            if words[0] != b"SET":
                os._exit(3)
            self.wfile.write(b"+OK\r\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Dying).serve_forever()
