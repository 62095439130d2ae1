// A running tidemark for the page tests: started by path, ended by its own process, never by name.
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BINARY = process.env.TIDEMARK ?? `${ROOT}target/release/tidemark`;
const START_MS_MAX = 120_000;

/** Starts it and waits for its address; the error has what it said when it ends before that. */
export async function start(command, { dataDir, sqlDir, config, port = 0 }) {
  const args = [...command, '--listen', `127.0.0.1:${port}`, '--postgres', '', '--flight', '', '--data-dir', dataDir];
  if (config !== undefined) args.push('--config', config);
  if (sqlDir !== undefined) args.push('--sql-dir', sqlDir);
  const child = spawn(BINARY, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const ended = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', (error) => {
      said += error.message;
      resolve('no start');
    });
  });
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it does not say where it listens: ${said}`)), START_MS_MAX);
    const hear = (text) => {
      said = (said + text).slice(-20_000);
      const found = /listening on (http:\/\/[\d.]+:\d+)/.exec(said);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`it ended with ${code}: ${said}`));
    });
  });
  const stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  return { url, port: Number(new URL(url).port), stop, ended, said: () => said };
}

/** Runs a command of the binary to its end, with a text on its stdin; what it printed. */
export function tidemark(args, env = {}, input = undefined) {
  const { status, stdout, stderr } = spawnSync(BINARY, args, { cwd: ROOT, encoding: 'utf8', input, env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`tidemark ${args.slice(0, 2).join(' ')} ended with ${status}: ${stderr}`);
  return stdout.trim();
}

export async function ingest(url, stream, rows) {
  const response = await fetch(`${url}/api/ingest/${stream}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: rows.map((row) => JSON.stringify(row)).join('\n') + '\n',
  });
  if (!response.ok) throw new Error(`ingest answers ${response.status}: ${await response.text()}`);
}
