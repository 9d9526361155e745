'use strict';
// The fetch() that Node.js itself has, with all kinds of bodies: node fetch.js IMAGE. DOCKER_HOST is
// tcp://address:port. The statuses and bodies go to standard output as JSON.

const base = process.env.DOCKER_HOST.replace('tcp:', 'http:');

async function ask(method, path, options = {}) {
  const response = await fetch(base + path, { method, ...options });
  return [response.status, await response.text()];
}

function json(document) {
  return { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(document) };
}

// Without a length, so that it is sent in chunks.
function stream(text) {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
  return { headers: { 'Content-Type': 'application/json' }, body, duplex: 'half' };
}

async function main([image]) {
  const [status, text] = await ask('POST', '/containers/create', json({ Image: image, Cmd: ['echo', 'out'], Tty: true }));
  const id = JSON.parse(text).Id;
  const statuses = [status];
  for (const [method, path, options] of [
    ['HEAD', '/_ping'],
    ['GET', `/containers/${id}/json`],
    ['POST', `/containers/${id}/update`, stream('{"CpuShares":512}')],
    ['POST', `/containers/${id}/start`],
    ['POST', `/containers/${id}/wait`],
  ]) {
    statuses.push((await ask(method, path, options))[0]);
  }
  const [, logs] = await ask('GET', `/containers/${id}/logs?stdout=1`);
  statuses.push((await ask('DELETE', `/containers/${id}`))[0]);
  statuses.push((await ask('GET', `/containers/${id}/json`))[0]);
  console.log(JSON.stringify({ statuses, logs }));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
