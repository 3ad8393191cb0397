'use strict';
// Runs a server in one process, or in a cluster of as many as the first argument says, on a port
// that the kernel chooses; prints the address once all of them listen.
const cluster = require('node:cluster');

function announce(port) {
  console.log(`listening on 127.0.0.1:${port}`);
}

module.exports = function run(listen) {
  const count = Number(process.argv[2] || 1);
  if (count === 1) {
    listen(announce);
  } else if (cluster.isPrimary) {
    let listening = 0;
    cluster.on('listening', (worker, address) => {
      listening += 1;
      if (listening === count) announce(address.port);
    });
    for (let i = 0; i < count; i += 1) cluster.fork();
    process.on('SIGTERM', () => {
      for (const worker of Object.values(cluster.workers)) worker.kill();
      process.exit(0);
    });
  } else {
    listen(() => {});
  }
};
