"""What can go wrong, and how it is mended: each cause is a real one, done to a process of its own.

A cause names the alerts that it is to fire, by process. What may fire besides, as a consequence, is
named as well; anything else that fires is a failure.
"""

import subprocess

from processes import Again, Failed, server


class Cause:
    """What can go wrong with some processes."""

    words = ""

    def __init__(self, binary, scratch):
        self.binary, self.scratch = binary, scratch
        # What it has started, and of that, by job, what Prometheus scrapes.
        self.clients, self.kept, self.targets = [], [], {}

    def keep(self, job, process):
        """Ends the process at the end, and has it scraped under the job, if it has one."""
        self.kept.append(process)
        if job:
            self.targets.setdefault(job, []).append(process)
        return process

    def serve(self, folder, cores=1, prefix=()):
        """A storage server, which is scraped."""
        words = ("--cores", str(cores))
        return self.keep("storage-server", server(self.binary, folder, *words, prefix=prefix))

    def repeat(self, what, pause=0.0):
        """Does something again and again from now on."""
        self.clients.append(Again(what, pause))
        return self.clients[-1]

    def fires(self):
        """The alerts that are to fire, as name and address."""
        raise NotImplementedError

    def may_fire(self):
        """Those that may fire besides."""
        return set()

    def prepare(self):
        """Starts what it needs."""

    def begin(self):
        """From here on it goes wrong."""
        raise NotImplementedError

    def go_on(self, prometheus):
        """Called again and again while alerts are waited for."""

    def mend(self):
        """From here on it is well."""
        raise NotImplementedError

    def end(self):
        """Ends what it has started."""
        self.end_clients()
        for process in self.kept:
            process.kill()

    def end_clients(self):
        """Whatever they have failed by."""
        for client in self.clients:
            client.stop()


def of(process, *names):
    return {(name, process.admin) for name in names}


def tried(*words):
    """A command of the system, run to its end."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def run(*words):
    """The same, which must succeed."""
    output = tried(*words)
    if output.returncode:
        raise Failed(f"{' '.join(words)}: {output.stderr.decode()}")
