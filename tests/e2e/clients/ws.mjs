// A client as users write one in JavaScript: subscribes by REST, listens with `ws`, publishes by REST and on the socket.
// Usage: node ws.mjs HOST:PORT TOPIC; prints one JSON object per line and ends by itself.
import WebSocket from 'ws';

const [host, topic] = process.argv.slice(2);
const say = (o) => console.log(JSON.stringify(o));
const post = async (path, body) => {
  const res = await fetch(`http://${host}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  return res.json();
};

const clientId = 'js-client';
say(await post('subscribe', { client_id: clientId, topic, threshold: 0.1 }));

const ws = new WebSocket(`ws://${host}/api/v1/ws?client_id=${clientId}`);
let messages = 0, acks = 0; // the acknowledgement may come before or after the message itself
ws.on('open', async () => {
  say(await post('publish', { client_id: clientId, topic, message: 'Hello from JavaScript' }));
  ws.send(JSON.stringify({ type: 'publish', client_id: clientId, topic, message: 'and on the socket', id: 7 }));
});
ws.on('message', (data) => {
  const frame = JSON.parse(data);
  if (frame.message) frame.text = Buffer.from(frame.message, 'base64').toString();
  say(frame);
  if (frame.message) messages++;
  if (frame.type === 'ack') acks++;
  if (messages === 2 && acks === 1) ws.close();
});
ws.on('error', (e) => { say({ error: e.message }); process.exit(1); });
ws.on('close', () => process.exit(0));
