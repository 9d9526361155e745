'use strict';
// One case per name: node sdk.js NAME CONTAINER. DOCKER_HOST says where the Engine is, DOCKER_CERT_PATH where the
// certificates for it are.
// The result goes to standard output as JSON; an exception is a failure.

const { DockerClient } = require('@docker/node-sdk');
const { Writable } = require('node:stream');

function sink() {
  const pieces = [];
  const stream = new Writable({
    write(piece, _, done) {
      pieces.push(piece);
      done();
    },
  });
  return [stream, () => Buffer.concat(pieces).toString()];
}

const cases = {
  async reads(docker, id) {
    const list = await docker.containerList({ all: true });
    const inspected = await docker.containerInspect(id);
    return [await docker.systemPing(), list.some((c) => c.Id === id), inspected.State.Running];
  },

  async run(docker) {
    const made = await docker.containerCreate({
      Image: 'busybox', Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 5'],
    });
    const [out, outText] = sink();
    const [err, errText] = sink();
    try {
      await docker.containerStart(made.Id);
      const { StatusCode } = await docker.containerWait(made.Id);
      await docker.containerLogs(made.Id, out, err, { stdout: true, stderr: true });
      return [StatusCode, outText(), errText()];
    } finally {
      await docker.containerDelete(made.Id, { force: true });
    }
  },

  async missing(docker) {
    try {
      return await docker.containerInspect('none');
    } catch (error) {
      return error.name;
    }
  },
};

async function main([name, ...rest]) {
  const docker = await DockerClient.fromDockerHost(process.env.DOCKER_HOST, process.env.DOCKER_CERT_PATH);
  const result = await cases[name](docker, ...rest);
  await docker.close();
  console.log(JSON.stringify(result));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
