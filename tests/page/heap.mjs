// What a page holds, from a snapshot of its heap. `usedSize` cannot tell a leak: V8 counts the machine code
// it makes in it, some 400 kB more in an hour of ticks, and whatever frames threw away between a
// collection and the reading, a megabyte at once on a loaded machine. A snapshot collects and counts in one
// step, and says of each thing what it is.

/** Made by the script of the page, and by nothing that V8 makes of that script. */
const OWN = new Set(['object', 'array', 'closure', 'string', 'concatenated string', 'sliced string', 'number', 'bigint', 'symbol', 'regexp']);
/** Kinds that a message names. */
const NAMED_MAX = 4;

/** Bytes of the page's own objects and of the browser's behind them (elements, styles, buffers), and of each kind. */
export async function heapOf(session) {
  const { snapshot, nodes, strings } = JSON.parse(await snapshotOf(session));
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  const held = { own: 0, native: 0, kinds: new Map() };
  for (let at = 0; at < nodes.length; at += fields.length) {
    const of = types[type][nodes[at + type]];
    const bytes = nodes[at + size];
    if (OWN.has(of)) held.own += bytes;
    else if (of === 'native') held.native += bytes;
    else continue;
    // The name of a string is its text.
    const kind = of.endsWith('string') ? of : `${of} ${strings[nodes[at + name]]}`;
    held.kinds.set(kind, (held.kinds.get(kind) ?? 0) + bytes);
  }
  return held;
}

/**
 * Runs in the page before its script. The page stands still for a snapshot, on a loaded machine for longer
 * than its watchdog allows: that still asks and is answered, but loads nothing anew.
 */
export function patient() {
  window.Worker = class extends Worker {
    set onmessage(hear) {
      super.onmessage = (event) => {
        if (event.data !== 'reload') hear(event);
      };
    }
  };
}

/** What grew most between two heaps: where to look for a leak. */
export function growthOf(before, after) {
  return [...after.kinds]
    .map(([kind, bytes]) => [kind, bytes - (before.kinds.get(kind) ?? 0)])
    .sort(([, a], [, b]) => b - a)
    .slice(0, NAMED_MAX)
    .map(([kind, bytes]) => `${kind} +${bytes}`)
    .join(', ');
}

async function snapshotOf(session) {
  const chunks = [];
  const take = ({ chunk }) => chunks.push(chunk);
  session.on('HeapProfiler.addHeapSnapshotChunk', take);
  await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
  session.off('HeapProfiler.addHeapSnapshotChunk', take);
  return chunks.join('');
}
