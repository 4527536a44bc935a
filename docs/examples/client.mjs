#!/usr/bin/env node
// A client of fstraced: run a command, print its inputs, tell whether it has to run again.
//
//   client.mjs run MANIFEST COMMAND [ARGUMENT ...]   run it, print its inputs, keep the manifest
//   client.mjs check MANIFEST                        exit status 0: up to date; 1: run it again
//
// The socket is $FSTRACED_SOCKET, or $XDG_RUNTIME_DIR/fstrace/socket. Node 18 or later.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

const socketPath = process.env.FSTRACED_SOCKET ?? `${process.env.XDG_RUNTIME_DIR}/fstrace/socket`;

// Yields the parameters of each reply. Messages are JSON objects that end with a NUL byte.
async function* call(method, parameters, more = false) {
  const socket = net.connect(socketPath);
  socket.write(JSON.stringify({ method: "io.fstrace.v1." + method, parameters, more }) + "\0");
  let parts = []; // of a message that has not come to its end
  for await (let chunk of socket) {
    for (let end; (end = chunk.indexOf(0)) >= 0; chunk = chunk.subarray(end + 1)) {
      const reply = JSON.parse(Buffer.concat([...parts, chunk.subarray(0, end)]));
      parts = [];
      if (reply.error) throw new Error(`${method}: ${reply.error} ${JSON.stringify(reply.parameters ?? {})}`);
      yield reply.parameters ?? {};
      if (!reply.continues) return; // which closes the socket
    }
    parts.push(chunk);
  }
  throw new Error("fstraced has ended");
}

async function callOnce(method, parameters) {
  for await (const reply of call(method, parameters)) return reply;
}

// A path that is not UTF-8 comes as base64, in a field of its own.
const pathOf = (entry) => entry.path ?? Buffer.from(entry.pathBase64, "base64").toString("latin1");

// Node cannot send descriptors over a socket. A shell can open ours, by /proc: the
// command prints where we do.
const withOurDescriptors = (argv) => [
  "/bin/sh", "-c", 'exec "$@" <"/proc/$0/fd/0" >>"/proc/$0/fd/1" 2>>"/proc/$0/fd/2"', String(process.pid), ...argv,
];

async function run(manifest, argv) {
  const parameters = {
    argv: withOurDescriptors(argv),
    env: Object.entries(process.env).map(([name, value]) => `${name}=${value}`),
    cwd: process.cwd(),
    options: { manifest: true, record: path.resolve(manifest) },
  };
  // If this program ends before the last reply, by Ctrl-C say, the daemon ends the command.
  let last;
  for await (const update of call("Run", parameters, true)) {
    for (const event of update.events ?? []) {
      if (event.op === "exec" && event.exe) console.error("executes", event.exe);
    }
    last = update;
  }
  if (last.result.notExecuted) throw new Error(last.result.notExecuted);
  for (const gap of last.end.incomplete) console.error("may miss something:", gap.reason, gap.detail ?? "");
  const reply = await callOnce("GetManifest", { session: last.session });
  for (const entry of reply.manifest.inputs) console.log(entry.state, pathOf(entry));
  fs.writeFileSync(manifest, JSON.stringify(reply.manifest));
  return last.end.exit.code ?? 1;
}

async function check(manifest) {
  const answer = await callOnce("Check", { manifest: JSON.parse(fs.readFileSync(manifest)) });
  for (const reason of answer.reasons) console.log(reason.reason, pathOf(reason));
  if (answer.status === "unknown") console.log(answer.error);
  return answer.status === "valid" ? 0 : 1;
}

const [what, manifest, ...argv] = process.argv.slice(2);
if (what === "run" && argv.length > 0) process.exitCode = await run(manifest, argv);
else if (what === "check" && manifest) process.exitCode = await check(manifest);
else throw new Error("usage: client.mjs run MANIFEST COMMAND [ARGUMENT ...] | check MANIFEST");
