/** Hears from the socket when a view has changed. What is in the frames is for the wall; here only that they came counts. */
import { browserSurroundings, LiveSocket } from '../connection/live-socket';

/** Calls `changed` at every change of one of `views`; the first call is their state now. Returns the way to stop. */
export function watchViews(
  views: readonly string[],
  ticket: (() => Promise<string>) | undefined,
  changed: () => void,
): () => void {
  if (views.length === 0) return () => {};
  const protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket: LiveSocket = new LiveSocket(
    `${protocol}//${location.host}/api/ws`,
    {
      frame: (frame) => {
        if (frame.type === 'snap' || frame.type === 'delta') changed();
      },
      state: (open) => {
        if (open) socket.send({ type: 'subscribe', views, last: 1 });
      },
    },
    browserSurroundings(ticket),
  );
  socket.connect();
  return () => socket.stop();
}
