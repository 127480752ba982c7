import { readFileSync } from 'node:fs';
import { Batch, ClusterBatch, ClusterScanCursor, GlideClient, GlideClusterClient, TimeUnit } from '@valkey/valkey-glide';
import { check, rejects, serve } from './phases.mjs';

const addresses = process.argv.slice(2).map((a) => ({ host: a.split(':')[0], port: +a.split(':')[1] }));
const gateway = addresses.length === 1; // one address is a gateway's
const c = await (gateway ? GlideClient : GlideClusterClient).createClient({ addresses, requestTimeout: 2000 });
const { version } = JSON.parse(readFileSync(new URL('./node_modules/@valkey/valkey-glide/package.json', import.meta.url)));

async function commands() {
  check('set', await c.set('k', 'v'), 'OK');
  check('set nx', await c.set('k', 'w', { conditionalSet: 'onlyIfDoesNotExist' }), null);
  check('set xx get', await c.set('k', 'v2', { conditionalSet: 'onlyIfExists', returnOldValue: true }), 'v');
  check('set ex', await c.set('k', 'v', { expiry: { type: TimeUnit.Seconds, count: 100 } }), 'OK');
  check('ttl', (await c.ttl('k')) > 90, true);
  check('pttl', (await c.pttl('k')) > 90000, true);
  check('expiretime', (await c.expiretime('k')) > 1e9, true);
  check('persist', await c.persist('k'), true);
  check('get', await c.get('k'), 'v');
  check('getdel', await c.getdel('k'), 'v');
  await c.set('k', 'v');
  check('getex', await c.getex('k', { expiry: { type: TimeUnit.Seconds, duration: 100 } }), 'v');
  check('append', await c.append('k', 'w'), 2);
  check('strlen', await c.strlen('k'), 2);
  check('getrange', await c.getrange('k', 0, 0), 'v');
  check('setrange', await c.setrange('k', 1, 'x'), 2);
  check('mset', await c.mset({ a: '1', b: '2', c: '3' }), 'OK');
  check('mget', await c.mget(['a', 'b', 'none']), ['1', '2', null]);
  check('msetnx', await c.msetnx({ '{t}a': '1', '{t}b': '2' }), true);
  check('incr', await c.incr('{t}a'), 2);
  check('incrBy', await c.incrBy('{t}a', 5), 7);
  check('decr', await c.decr('{t}a'), 6);
  check('decrBy', await c.decrBy('{t}a', 2), 4);
  check('incrByFloat', await c.incrByFloat('{t}a', 0.5), 4.5);
  check('exists', await c.exists(['{t}a', '{t}b', 'a']), 3);
  check('touch', await c.touch(['{t}a']), 1);
  check('type', await c.type('{t}a'), 'string');
  check('rename', await c.rename('{t}a', '{t}d'), 'OK');
  check('renamenx', await c.renamenx('{t}d', '{t}b'), false);
  check('copy', await c.copy('{t}d', '{t}e'), true);
  check('expire', await c.expire('{t}d', 100), true);
  check('del', await c.del(['{t}d', '{t}e', 'a']), 3);
  check('unlink', await c.unlink(['{t}b', 'b']), 2);
  await c.set('word', 'x');
  await rejects('incr', c.incr('word'), 'not an integer');
  await rejects('hset', c.hset('h', { f: 'v' }), 'strings only');
  check('batch', await c.exec(new (gateway ? Batch : ClusterBatch)(true).set('{p}1', '5').incr('{p}1'), true), ['OK', 6]);
  let found = 0;
  for (let cursor = gateway ? '0' : new ClusterScanCursor(), done = false; !done;) {
    const [next, keys] = await c.scan(cursor, { match: '{p}*' });
    cursor = next;
    done = gateway ? cursor === '0' : cursor.isFinished();
    found += keys.length;
  }
  check('scan', found, 1);
}

serve({ version, get: (k) => c.get(k), set: (k, v) => c.set(k, v), commands });
