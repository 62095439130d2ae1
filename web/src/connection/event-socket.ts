/**
 * Server-sent events in the shape of a socket, for networks that let no WebSocket through.
 *
 * Nothing can be sent up such a stream: what a `subscribe` asks for becomes the address of the next one, so each is
 * a stream of all views asked for so far. The first stream has no views and brings the greeting. Who asks is known by the
 * cookie, as with every address of the page: there is no ticket to be shown.
 */
import type { SocketLike } from './live-socket';

/** The part of an EventSource that is used, so that a test can stand in for it. */
export interface EventStream {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  onerror: ((event: Event) => void) | null;
  close(): void;
}

export class EventSocket implements SocketLike {
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent<unknown>) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  private readonly views = new Set<string>();
  private stream: EventStream;
  private greeted = false;

  constructor(
    private readonly url: string,
    private readonly open: (url: string) => EventStream,
  ) {
    this.stream = this.listen('?views=');
  }

  send(text: string): void {
    const message: unknown = JSON.parse(text);
    if (!isSubscription(message)) return;
    message.views.forEach((view) => this.views.add(view));
    this.stream.close();
    const names = [...this.views].map(encodeURIComponent).join(',');
    const space = message.space === undefined ? '' : `&space=${encodeURIComponent(message.space)}`;
    this.stream = this.listen(`?views=${names}&last=${message.last}${space}`);
  }

  close(): void {
    this.stream.close();
  }

  private listen(query: string): EventStream {
    const stream = this.open(this.url + query);
    stream.onopen = (event) => {
      if (this.greeted) return;
      this.greeted = true;
      this.onopen?.(event);
    };
    stream.onmessage = (event) => {
      // Each stream greets; a second greeting would be answered with another subscription, for ever.
      if (this.views.size > 0 && typeof event.data === 'string' && event.data.includes('"type":"hello"')) return;
      this.onmessage?.(event);
    };
    // An EventSource would try again by itself, unseen; here the one who owns the socket decides.
    stream.onerror = () => {
      stream.close();
      this.onclose?.(new CloseEvent('close'));
    };
    return stream;
  }
}

function isSubscription(message: unknown): message is { views: string[]; last: number; space?: string } {
  return (
    typeof message === 'object' &&
    message !== null &&
    'type' in message &&
    message.type === 'subscribe' &&
    'views' in message &&
    Array.isArray(message.views)
  );
}
