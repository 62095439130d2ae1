/**
 * What is wrong at the server, in words for everyone before a wall. The server tells it in one English sentence with
 * what an engineer needs, hosts and offsets; a Chinese wall says which kind of thing it is, and the rest is in `/healthz`.
 */
import type { Bilingual } from '../format/words';

const KINDS: readonly (readonly [RegExp, (found: RegExpExecArray) => string])[] = [
  [/^nothing has been published for (\d+) s/, (found) => `已 ${found[1]} 秒没有发布新数据`],
  [/^view (\S+) is stopped/, (found) => `视图 ${found[1]} 已停止更新`],
  [/^view (\S+):/, (found) => `视图 ${found[1]} 有窗口算不出结果`],
];

/** By what the server says of its own state, where its sentence is of no kind that is known here. */
const STATES: Readonly<Record<string, string>> = {
  paused: '部分分区暂停读取，等待腾出空间',
  stale: '数据源读取失败，保持上一数值',
  catching_up: '正在追赶积压的消息',
};
const OTHER = '有告警，请值班人员查看';

export function problemText(problem: string, state: string): Bilingual {
  const zh = KINDS.flatMap(([pattern, say]) => {
    const found = pattern.exec(problem);
    return found === null ? [] : [say(found)];
  })[0];
  return { zh: `服务端：${zh ?? STATES[state] ?? OTHER}`, en: `Server: ${problem}` };
}
