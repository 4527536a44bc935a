#!/usr/bin/env python3
"""A client of fstraced: run a command, print its inputs, tell whether it has to run again.

    client.py run MANIFEST COMMAND [ARGUMENT ...]     run it, print its inputs, keep the manifest
    client.py check MANIFEST                          exit status 0: up to date; 1: run it again

The socket is $FSTRACED_SOCKET, or $XDG_RUNTIME_DIR/fstrace/socket. Python 3.9 or later.
"""
import base64
import json
import os
import socket
import sys


class Fstraced:
    """A connection, for one call at a time. Messages are JSON objects that end with a NUL byte."""

    def __init__(self):
        path = os.environ.get("FSTRACED_SOCKET") or os.environ["XDG_RUNTIME_DIR"] + "/fstrace/socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.received = bytearray()

    def call(self, method, parameters, more=False, files=()):
        """Yields the parameters of each reply. Descriptors go with the message's first byte."""
        message = json.dumps({"method": "io.fstrace.v1." + method, "parameters": parameters, "more": more}).encode() + b"\0"
        sent = socket.send_fds(self.socket, [message], list(files)) if files else 0
        self.socket.sendall(message[sent:])
        reply = {"continues": True}
        while reply.get("continues"):
            reply = json.loads(self.next_message())
            if "error" in reply:
                raise RuntimeError(f"{method}: {reply['error']} {reply.get('parameters', {})}")
            yield reply.get("parameters", {})

    def next_message(self):
        searched = 0
        while (end := self.received.find(b"\0", searched)) < 0:
            searched = len(self.received)
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                raise ConnectionError("fstraced has ended")
            self.received += chunk
        message = bytes(self.received[:end])
        del self.received[:end + 1]
        return message


def encode(strings):
    """What need not be UTF-8 goes as base64, and comes so."""
    return [base64.b64encode(os.fsencode(s)).decode() for s in strings]


def path_of(entry):
    return entry["path"] if "path" in entry else os.fsdecode(base64.b64decode(entry["pathBase64"]))


def run(daemon, manifest, argv):
    parameters = {
        "argvBase64": encode(argv),
        "envBase64": encode(f"{name}={value}" for name, value in os.environ.items()),
        "cwdBase64": encode([os.getcwd()])[0],
        "descriptors": [{"number": n, "index": n} for n in range(3)],  # it prints where we do
        "options": {"manifest": True, "record": os.path.abspath(manifest)},
    }
    # If this program ends before the last reply, by Ctrl-C say, the daemon ends the command.
    for update in daemon.call("Run", parameters, more=True, files=range(3)):
        session = update["session"]
        for event in update.get("events", []):
            if event["op"] == "exec" and "exe" in event:
                print("executes", event["exe"], file=sys.stderr)
        if "end" in update:
            end, result = update["end"], update["result"]
    if "notExecuted" in result:
        sys.exit(result["notExecuted"])
    for gap in end["incomplete"]:
        print("may miss something:", gap["reason"], gap.get("detail", ""), file=sys.stderr)
    (reply,) = daemon.call("GetManifest", {"session": session})
    for entry in reply["manifest"]["inputs"]:
        print(entry["state"], path_of(entry))
    with open(manifest, "w") as file:
        json.dump(reply["manifest"], file)
    return end["exit"].get("code", 1)


def check(daemon, manifest):
    with open(manifest) as file:
        (answer,) = daemon.call("Check", {"manifest": json.load(file)})
    for reason in answer["reasons"]:
        print(reason["reason"], path_of(reason))
    if answer["status"] == "unknown":
        print(answer["error"])
    return 0 if answer["status"] == "valid" else 1


if __name__ == "__main__":
    if len(sys.argv) >= 4 and sys.argv[1] == "run":
        sys.exit(run(Fstraced(), sys.argv[2], sys.argv[3:]))
    if len(sys.argv) == 3 and sys.argv[1] == "check":
        sys.exit(check(Fstraced(), sys.argv[2]))
    sys.exit(__doc__)
