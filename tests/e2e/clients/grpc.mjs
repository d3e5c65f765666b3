// @grpc/grpc-js against a gateway's ProxyStream and a node's CommandStream.
// Usage: node grpc.mjs PROTO_DIR GATEWAY SIDECAR TOPIC; prints one JSON object per line and ends by itself.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [dir, gateway, sidecar, topic] = process.argv.slice(2);
const say = (o) => console.log(JSON.stringify(o));
const options = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1, 'grpc.keepalive_time_ms': 120000, 'grpc.keepalive_timeout_ms': 20000 };
const load = (file) => grpc.loadPackageDefinition(loader.loadSync(file, { includeDirs: [dir], keepCase: true, longs: String, enums: String })).proto;
const made = (Service, target) => new Service(target, grpc.credentials.createInsecure(), options);
const call = (client, method, request) =>
  new Promise((done, fail) => client[method](request, (e, answer) => (e ? fail(e) : done(answer))));

const proxy = made(load('gateway.proto').ProxyStream, gateway);
const node = made(load('sidecar.proto').CommandStream, sidecar);
const fail = (e) => { say({ error: e.message }); process.exit(1); };

say(await call(proxy, 'Subscribe', { client_id: 'grpc-js', topic, threshold: 0.1 }).catch(fail));
const stream = proxy.ClientStream();
stream.on('error', () => {}); // our own cancel
stream.write({ client_id: 'grpc-js', type: 'subscribe' });
const first = new Promise((done) => stream.on('data', (m) => { say({ topic: m.topic, text: m.message.toString(), message_id: m.message_id }); done(); }));
say(await call(proxy, 'Publish', { client_id: 'grpc-js', topic, message: Buffer.from('by grpc-js') }).catch(fail));
await first;
stream.cancel();

say(await call(node, 'Health', {}).catch(fail));
// Publishes, half-closes, and requires an answer before the end.
const commands = node.ListenCommands();
commands.write({ command: 1, topic, data: Buffer.from('to the sidecar') });
commands.end();
let answers = 0;
commands.on('data', (r) => { answers++; if (r.data.length) say(JSON.parse(r.data)); });
commands.on('error', fail);
commands.on('end', () => { say({ answers }); proxy.close(); node.close(); });
