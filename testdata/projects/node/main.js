// Requires modules of every kind: built in, a file, a directory, a package
// found by walking up, one that is absent.
const fs = require('fs');
const path = require('path');
const builtin = ['assert', 'buffer', 'child_process', 'cluster', 'crypto', 'dgram', 'dns', 'events', 'http', 'http2',
  'https', 'net', 'os', 'perf_hooks', 'querystring', 'readline', 'stream', 'string_decoder', 'tls', 'tty', 'url',
  'util', 'v8', 'vm', 'worker_threads', 'zlib'];
for (const name of builtin) require(name);

let sum = 0;
for (let i = 0; i < 40; i++) sum += require(`./generated/m${i}`);
sum += require('./dir') + require('pkg') + require('pkg/data.json').value;
try {
  require('absent');
} catch (e) {
  console.error(e.code);
}
console.log(sum, fs.readdirSync(path.join(__dirname, 'generated')).length);
