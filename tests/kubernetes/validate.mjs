// Reads a JSON list of Kubernetes objects and prints a JSON list of what is wrong with them.
//
// Types, required fields and values: by the schemas of kubernetes-models and @kubernetes-models/prometheus-operator,
// which are made from the published OpenAPI document and the CRDs. These schemas let unknown fields pass, as the document
// does: @kubernetes/client-node, which is made from the same document, has the names of all fields.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const modules = process.argv[2];
const require = createRequire(`${modules}/x.js`);
const PACKAGES = {'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'};

async function importFrom(name) {
  return import(pathToFileURL(require.resolve(name)).href);
}

async function schemaFaults(object) {
  const folder = PACKAGES[object.apiVersion] ?? `kubernetes-models/${object.apiVersion}`;
  const model = (await import(pathToFileURL(`${modules}/${folder}/${object.kind}.js`).href))[object.kind];
  try {
    new model(object).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
}

// ObjectSerializer names the class of a field as 'V1Container' or 'Array<V1Container>'.
function unknownFields(client, type, value, path) {
  const element = /^Array<(.*)>$/.exec(type)?.[1];
  if (element) {
    return value.flatMap((item, i) => unknownFields(client, element, item, `${path}[${i}]`));
  }
  const map = client[type]?.getAttributeTypeMap?.();
  if (!map || typeof value !== 'object' || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([name, member]) => {
    const attribute = map.find((candidate) => candidate.baseName === name);
    return attribute ? unknownFields(client, attribute.type, member, `${path}.${name}`) : [`${path}.${name}: no such field`];
  });
}

function classOf(client, object) {
  const version = object.apiVersion.split('/').at(-1);
  return `${version[0].toUpperCase()}${version.slice(1)}${object.kind}`;
}

const client = await importFrom('@kubernetes/client-node');
const faults = [];
for (const object of JSON.parse(readFileSync(0, 'utf8'))) {
  const name = `${object.kind}/${object.metadata?.name}`;
  const found = await schemaFaults(object);
  if (!PACKAGES[object.apiVersion]) {
    const type = classOf(client, object);
    found.push(...(client[type] ? unknownFields(client, type, object, '') : [`no class ${type}`]));
  }
  faults.push(...found.map((fault) => `${name}: ${fault}`));
}
console.log(JSON.stringify(faults));
