import { describe, expect, it } from 'vitest';
import { EventSocket, type EventStream } from './event-socket';

function opened() {
  const urls: string[] = [];
  const streams: (EventStream & { closed: boolean })[] = [];
  const socket = new EventSocket('/api/events', (url) => {
    urls.push(url);
    const stream = {
      onopen: null,
      onmessage: null,
      onerror: null,
      closed: false,
      close() {
        stream.closed = true;
      },
    } as EventStream & { closed: boolean };
    streams.push(stream);
    return stream;
  });
  const heard: unknown[] = [];
  socket.onmessage = (event) => heard.push(event.data);
  const say = (data: object) =>
    streams.at(-1)?.onmessage?.({ data: JSON.stringify(data) } as MessageEvent<unknown>);
  return { socket, urls, streams, heard, say };
}

describe('EventSocket', () => {
  it('begins without views, and a subscription is another stream with all views so far', () => {
    const { socket, urls, streams } = opened();
    socket.send(JSON.stringify({ type: 'subscribe', views: ['a', 'b c'], last: 5 }));
    socket.send(JSON.stringify({ type: 'subscribe', views: ['d'], last: 5 }));
    expect(urls).toEqual(['/api/events?views=', '/api/events?views=a,b%20c&last=5', '/api/events?views=a,b%20c,d&last=5']);
    expect(streams.map((stream) => stream.closed)).toEqual([true, true, false]);
  });

  it('asks for the result space that is shown', () => {
    const { socket, urls } = opened();
    socket.send(JSON.stringify({ type: 'subscribe', views: ['a'], last: 5, space: 'shadow' }));
    expect(urls.at(-1)).toBe('/api/events?views=a&last=5&space=shadow');
  });

  it('hands on the first greeting and no other, and every figure', () => {
    const { socket, heard, say } = opened();
    say({ type: 'hello', epoch: 'x' });
    socket.send(JSON.stringify({ type: 'subscribe', views: ['a'], last: 5 }));
    say({ type: 'hello', epoch: 'x' });
    say({ type: 'snap', view: 'a' });
    expect(heard.map((text) => JSON.parse(String(text)).type)).toEqual(['hello', 'snap']);
  });

  it('ignores what cannot be sent', () => {
    const { socket, urls } = opened();
    socket.send(JSON.stringify({ type: 'ping', now: 1 }));
    expect(urls).toHaveLength(1);
  });
});
