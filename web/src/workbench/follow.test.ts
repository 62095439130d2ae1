import { describe, expect, it } from 'vitest';
import type { Refusal } from './ask';
import { follow, type Around } from './follow';

const BOUND = { sql: 'SELECT gmv FROM gmv_day', params: [] };

function snap(cut: number): string {
  return `{"type":"snap","cut":${cut},"keys":["_row"],"columns":[{"name":"gmv","type":"DECIMAL(38,2)"}],"rows":[]}\n`;
}

/** A server that gives one answer after another, and time that passes at once. */
function server(answers: readonly (() => Response)[]) {
  let [asked, waited] = [0, 0];
  let told: () => void = () => {};
  const around: Around = {
    fetch: async () => {
      const answer = answers[asked];
      asked += 1;
      if (answer === undefined) return new Promise(() => {});
      return answer();
    },
    wait: async () => {
      waited += 1;
      if (waited > answers.length + 2) throw new Error('it never ends');
    },
  };
  const cuts: number[] = [];
  const refusals: Refusal[] = [];
  const follower = {
    rows: ({ cut }: { cut: number }) => void cuts.push(cut),
    refused: (refusal: Refusal) => {
      refusals.push(refusal);
      told();
    },
  };
  const refused = new Promise<void>((resolve) => (told = resolve));
  return { around, follower, cuts, refusals, refused, asked: () => asked };
}

/** A body that comes in pieces, cut where letters are cut too. */
function pieces(text: string, size: number): () => Response {
  const bytes = new TextEncoder().encode(text);
  const body = () =>
    new ReadableStream<Uint8Array>({
      start(stream) {
        for (let at = 0; at < bytes.length; at += size) stream.enqueue(bytes.slice(at, at + size));
        stream.close();
      },
    });
  return () => new Response(body());
}

describe('a query that is followed', () => {
  it('is told in whole lines whatever the pieces, comes back where the line breaks, and ends where it is refused', async () => {
    const delta = '{"type":"delta","base":3,"cut":4,"upsert":[{"gmv":"浙","_row":"a"}],"delete":[]}\n';
    const refusal = '{"error":{"code":"sql_not_live","message":"ORDER BY","line":1,"column":9}}';
    const talk = server([
      pieces(snap(3) + delta, 7),
      () => {
        throw new Error('no server');
      },
      () => new Response('', { status: 503 }),
      // What does not follow is a gap: it is asked for anew.
      pieces(snap(8) + delta, 1000),
      () => new Response(refusal, { status: 400 }),
    ]);
    follow(BOUND, talk.follower, talk.around);
    await talk.refused;
    expect(talk.cuts).toEqual([3, 4, 8]);
    expect(talk.refusals.map(({ code, line, column }) => [code, line, column])).toEqual([['sql_not_live', 1, 9]]);
    expect(talk.asked()).toBe(5);
  });
  it('ends with the reason where the server ends it', async () => {
    const talk = server([pieces(`${snap(1)}{"type":"error","code":"sql_rows","message":"too many"}\n`, 1000)]);
    follow(BOUND, talk.follower, talk.around);
    await talk.refused;
    expect(talk.refusals.map(({ code, message }) => [code, message])).toEqual([['sql_rows', 'too many']]);
  });
  it('says nothing once it is told to stop', async () => {
    const talk = server([pieces(snap(1), 1000)]);
    const stop = follow(BOUND, { ...talk.follower, rows: (rows) => (talk.follower.rows(rows), stop()) }, talk.around);
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect([talk.cuts, talk.asked()]).toEqual([[1], 1]);
  });
});
