/**
 * Watches the page from a thread of its own. It pings every two seconds; when no answer came for ten,
 * it asks for a reload. A page whose thread is stuck reads that as soon as it is free again, and
 * reloads instead of going on with figures it has slept through.
 */
const PING_EVERY_MS = 2000;
const SILENCE_MS_MAX = 10_000;

let answeredAt = Date.now();
let asked = false;

self.onmessage = () => {
  answeredAt = Date.now();
  asked = false;
};

setInterval(() => {
  if (!asked && Date.now() - answeredAt > SILENCE_MS_MAX) {
    asked = true;
    self.postMessage('reload');
  }
  self.postMessage('ping');
}, PING_EVERY_MS);
