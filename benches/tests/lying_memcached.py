#!/usr/bin/env python3
import socketserver, sys
if "--version" in sys.argv:
    print("memcached 0 that lies")
    sys.exit()
values = {}
class Liar(socketserver.StreamRequestHandler):
    def handle(self):
        while words := self.rfile.readline().split():
            if words[0] == b"ms":
                values[words[1]] = self.rfile.read(int(words[2]) + 2)[:-2]
                self.wfile.write(b"HD k%s\r\n" % words[1])
            else:
                value = next(value for key, value in values.items() if key != words[1])
                self.wfile.write(b"VA %d k%s\r\n%s\r\n" % (len(value), words[1], value))
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[sys.argv.index("-p") + 1])), Liar).serve_forever()
