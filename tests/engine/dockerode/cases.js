'use strict';
// One case per name: node cases.js NAME CONTAINER. DOCKER_HOST says where the Engine is.
// The result goes to standard output as JSON; an exception is a failure.

const Docker = require('dockerode');
const { PassThrough } = require('node:stream');
const { finished } = require('node:stream/promises');
const { createHash, randomBytes } = require('node:crypto');
const tar = require('tar-stream');

const MEGABYTE = 1 << 20;
const docker = new Docker();

function collect(stream) {
  const pieces = [];
  stream.on('data', (piece) => pieces.push(piece));
  return () => Buffer.concat(pieces);
}

// The raw stream of attach and exec, taken apart, until it ends.
async function separated(stream) {
  const out = new PassThrough();
  const err = new PassThrough();
  const outBytes = collect(out);
  const errBytes = collect(err);
  docker.modem.demuxStream(stream, out, err);
  await finished(stream, { writable: false });
  return { out: outBytes().toString(), err: errBytes().toString() };
}

async function exec(container, options, start, input) {
  const made = await container.exec({ AttachStdout: true, AttachStderr: true, ...options });
  const stream = await made.start(start);
  if (input !== undefined) {
    stream.write(input);
    stream.end();
  }
  const streams = await separated(stream);
  return { ...streams, status: (await made.inspect()).ExitCode };
}

function archive(files) {
  const pack = tar.pack();
  for (const [name, data] of Object.entries(files)) {
    pack.entry({ name }, data);
  }
  pack.finalize();
  return pack;
}

async function extract(stream) {
  const files = {};
  const extractor = tar.extract();
  extractor.on('entry', (header, entry, next) => {
    const bytes = collect(entry);
    entry.on('end', () => {
      files[header.name] = bytes();
      next();
    });
  });
  stream.pipe(extractor);
  await finished(extractor);
  return files;
}

function followBuild(stream) {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error, events) => (error ? reject(error) : resolve(events)));
  });
}

const cases = {
  async version() {
    return (await docker.version()).ApiVersion;
  },

  async run() {
    const out = new PassThrough();
    const err = new PassThrough();
    const outBytes = collect(out);
    const errBytes = collect(err);
    const script = 'echo out; echo err >&2; exit 5';
    const options = { Tty: false, HostConfig: { AutoRemove: true } };
    const [end] = await docker.run('busybox', ['sh', '-c', script], [out, err], options);
    return { status: end.StatusCode, out: outBytes().toString(), err: errBytes().toString() };
  },

  // Without hijack dockerode takes the 200 response and reads the raw stream as a body.
  async exec(container) {
    return exec(container, { Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 6'] }, {});
  },

  // With hijack it waits for a real 101 and writes on the socket.
  async execHijacked(container) {
    const options = { Cmd: ['sh', '-c', 'cat; echo end >&2'], AttachStdin: true };
    return exec(container, options, { hijack: true, stdin: true }, 'typed\n');
  },

  // Without hijack, but with stdin: the input follows the request on the same connection.
  async execWithInput(container) {
    const options = { Cmd: ['head', '-n', '1'], AttachStdin: true };
    const made = await container.exec({ AttachStdout: true, AttachStderr: true, ...options });
    const stream = await made.start({ hijack: false, stdin: true });
    stream.write('typed\n');
    return separated(stream);
  },

  async execLargeInput(container) {
    const data = randomBytes(MEGABYTE);
    const options = { Cmd: ['sha256sum'], AttachStdin: true };
    const result = await exec(container, options, { hijack: true, stdin: true }, data);
    return result.out.split(' ')[0] === createHash('sha256').update(data).digest('hex');
  },

  async execDetached(container) {
    const made = await container.exec({ Cmd: ['true'] });
    await made.start({ Detach: true });
    return (await made.inspect()).ID === made.id;
  },

  async attach() {
    const container = await docker.createContainer({
      Image: 'busybox', Cmd: ['sh', '-c', 'while read -r word; do echo got $word; done; echo end'],
      OpenStdin: true, StdinOnce: true, HostConfig: { AutoRemove: true },
    });
    const stream = await container.attach({
      stream: true, stdin: true, stdout: true, stderr: true, hijack: true,
    });
    const result = separated(stream);
    await container.start();
    stream.write('one\n');
    stream.end('two\n');
    return result;
  },

  async logsFollow(container) {
    const made = await container.exec({ Cmd: ['sh', '-c', 'echo from-exec > /proc/1/fd/1'] });
    const stream = await container.logs({ follow: true, stdout: true });
    await (await made.start({ Detach: true }));
    const [piece] = await new Promise((resolve) => stream.once('data', (data) => resolve([data])));
    stream.destroy();
    return piece.subarray(8).toString();
  },

  async stats(container) {
    return (await container.stats({ stream: false })).id === container.id;
  },

  async archives(container) {
    const data = randomBytes(4 * MEGABYTE);
    await container.putArchive(archive({ file: data }), { path: '/tmp' });
    const files = await extract(await container.getArchive({ path: '/tmp/file' }));
    return files.file.equals(data);
  },

  async build(_, tag) {
    const context = archive({ Dockerfile: 'FROM busybox\nRUN echo marker > /made\n' });
    const events = await followBuild(
      await docker.buildImage(context, { t: tag, networkmode: 'none', nocache: true }),
    );
    return events.some((event) => (event.stream || '').includes('Successfully tagged'));
  },

  // version 2 is BuildKit: dockerode serves the session as gRPC on the hijacked connection.
  async buildkit(_, tag) {
    const context = archive({ Dockerfile: 'FROM busybox\nRUN echo marker > /made\n' });
    const options = { t: tag, version: '2', networkmode: 'none', nocache: true };
    const events = await followBuild(await docker.buildImage(context, options));
    return events.some((event) => event.id === 'moby.buildkit.trace')
      && (await docker.getImage(tag).inspect()).RepoTags[0].startsWith(tag);
  },

  async saveAndLoad() {
    const saved = await docker.getImage('busybox').get();
    const events = await followBuild(await docker.loadImage(saved));
    return events.some((event) => (event.stream || '').includes('Loaded image: busybox'));
  },

  async events(_, label) {
    const since = Math.floor(Date.now() / 1000);
    const stream = await docker.getEvents({ since, filters: { label: [label] } });
    const first = new Promise((resolve) => stream.once('data', resolve));
    const made = await docker.createContainer({ Image: 'busybox', Labels: { [label]: '' } });
    const action = JSON.parse(await first).Action;
    stream.destroy();
    await made.remove();
    return action;
  },

  async missing() {
    try {
      await docker.getContainer('none').inspect();
    } catch (error) {
      return [error.statusCode, error.json.message];
    }
    return null;
  },

  async manyAtOnce(container) {
    const all = Array.from({ length: 40 }, () => container.inspect());
    return new Set((await Promise.all(all)).map((response) => response.Id)).size;
  },
};

async function main() {
  const [name, id, word] = process.argv.slice(2);
  const result = await cases[name](docker.getContainer(id), word);
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
