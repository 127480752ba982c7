// The conversation with the test that drives these programs, for all Node clients.
//
// It writes one word a line: commands, routing, load, more, mark, stop. Each is answered by
// one line: "ok", "FAIL <what>", or for stop "load <operations> <errors> <last error>" since
// load or mark. more waits for 200 operations since then. A client gives { version, get, set, commands }.
import readline from 'node:readline';

const say = (line) => process.stdout.write(line.replaceAll('\n', ' ') + '\n');

// check compares one reply; what differs is thrown.
export function check(name, got, want) {
  const a = JSON.stringify(got), b = JSON.stringify(want);
  if (a !== b) throw new Error(`${name} gives ${a}, want ${b}`);
}

// rejects wants an error that begins with a word.
export async function rejects(name, promise, word) {
  try {
    await promise;
  } catch (e) {
    if (String(e.message).includes(word)) return;
    throw new Error(`${name} fails with ${e.message}, want ${word}`);
  }
  throw new Error(`${name} does not fail`);
}

async function routing(client) {
  for (let i = 0; i < 512; i++) {
    await client.set(`route:${i}`, `${i}`);
    check('get', await client.get(`route:${i}`), `${i}`);
  }
}

// loadOn runs four workers that write and read keys of their own until stopped.
function loadOn(client) {
  const l = { ops: 0, errors: 0, last: '', running: true };
  l.workers = [0, 1, 2, 3].map(async (w) => {
    const known = new Map();
    for (let i = 0; l.running; i++) {
      const key = `load:${process.pid}:${w}:${i % 100}`;
      try {
        known.delete(key);
        await client.set(key, `${i}`);
        known.set(key, `${i}`);
        const got = await client.get(key);
        if (got !== known.get(key)) throw new Error(`read ${got} after writing ${known.get(key)}`);
        l.ops += 2;
      } catch (e) {
        l.errors++;
        l.last = e.message;
        await new Promise((r) => setTimeout(r, 5));
      }
      if (i % 10 === 0) await new Promise((r) => setTimeout(r, 1));
    }
  });
  return l;
}

// more waits for operations; failures count, so that it ends.
async function more(load) {
  while (load.ops + load.errors < 200) await new Promise((r) => setTimeout(r, 1));
}

export async function serve(client) {
  say(`version ${client.version}`);
  let load;
  for await (const word of readline.createInterface({ input: process.stdin })) {
    try {
      switch (word) {
        case 'commands': await client.commands(); say('ok'); break;
        case 'routing': await routing(client); say('ok'); break;
        case 'load': load = loadOn(client); say('ok'); break;
        case 'more': await more(load); say('ok'); break;
        case 'mark': load.ops = load.errors = 0; load.last = ''; say('ok'); break;
        case 'stop':
          load.running = false;
          await Promise.all(load.workers);
          say(`load ${load.ops} ${load.errors} ${load.last}`);
          break;
      }
    } catch (e) {
      say(`FAIL ${e.message}`);
    }
  }
  process.exit(0);
}
