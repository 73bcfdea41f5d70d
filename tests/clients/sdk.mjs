// A client program (see session.py) on the official TypeScript SDK; `mode` is auto, legacy or a revision to pin.
// The argument is the node_modules folder that holds the SDK.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const plan = JSON.parse(readFileSync(0, 'utf-8'));
const require = createRequire(path.join(process.argv[2], 'x.js'));
const sdk = name => import(pathToFileURL(require.resolve(`@modelcontextprotocol/client${name}`)));
const { Client } = await sdk('');
const { StdioClientTransport } = await sdk('/stdio');

let roots = plan.roots;
const faults = [];
const mode = ['auto', 'legacy'].includes(plan.mode) ? plan.mode : { pin: plan.mode };
const capabilities = roots === null ? {} : { roots: { listChanged: true } };
const client = new Client({ name: 'session', version: '1' }, { capabilities, versionNegotiation: { mode } });
client.onerror = error => faults.push(String(error));
if (roots !== null) client.setRequestHandler('roots/list', () => ({ roots: roots.map(uri => ({ uri })) }));

const [command, ...args] = plan.command;
await client.connect(new StdioClientTransport({ command, args, env: plan.env }));
const { tools } = await client.listTools();
const results = [];
for (const step of plan.steps) {
  if (step.roots) {
    roots = step.roots;
    if (client.getProtocolEra() === 'legacy') await client.sendRootsListChanged();
  } else {
    results.push(await client.callTool({ name: step.tool, arguments: step.arguments }));
  }
}
const protocol = client.getNegotiatedProtocolVersion();
await client.close();
console.log(JSON.stringify({ protocol, tools, results, faults }));
