import { createRequire } from 'node:module';
import { Cluster, Redis } from 'ioredis';
import { check, rejects, serve } from './phases.mjs';

const nodes = process.argv.slice(2).map((a) => ({ host: a.split(':')[0], port: +a.split(':')[1] }));
const c = nodes.length > 1 ? new Cluster(nodes) : new Redis(nodes[0]); // one address is a gateway's
c.on('error', () => {});
const { version } = createRequire(import.meta.url)('ioredis/package.json');

async function commands() {
  check('set', await c.set('k', 'v'), 'OK');
  check('set nx', await c.set('k', 'w', 'NX'), null);
  check('set xx get', await c.set('k', 'v2', 'XX', 'GET'), 'v');
  check('set ex', await c.set('k', 'v', 'EX', 100), 'OK');
  check('ttl', (await c.ttl('k')) > 90, true);
  check('pttl', (await c.pttl('k')) > 90000, true);
  check('expiretime', (await c.expiretime('k')) > 1e9, true);
  check('persist', await c.persist('k'), 1);
  check('get', await c.get('k'), 'v');
  check('getBuffer', (await c.getBuffer('k')).toString(), 'v');
  check('getset', await c.getset('k', 'w'), 'v');
  check('getdel', await c.getdel('k'), 'w');
  check('setnx', await c.setnx('k', 'v'), 1);
  check('setex', await c.setex('k', 100, 'v'), 'OK');
  check('psetex', await c.psetex('k', 100000, 'v'), 'OK');
  check('getex', await c.getex('k', 'PERSIST'), 'v');
  check('append', await c.append('k', 'w'), 2);
  check('strlen', await c.strlen('k'), 2);
  check('getrange', await c.getrange('k', 0, 0), 'v');
  check('setrange', await c.setrange('k', 1, 'x'), 2);
  check('mset', await c.mset('{t}a', '1', '{t}b', '2'), 'OK');
  check('mget', await c.mget('{t}a', '{t}b', '{t}c'), ['1', '2', null]);
  check('msetnx', await c.msetnx('{t}a', '1', '{t}c', '2'), 0);
  check('incr', await c.incr('{t}a'), 2);
  check('incrby', await c.incrby('{t}a', 5), 7);
  check('decr', await c.decr('{t}a'), 6);
  check('decrby', await c.decrby('{t}a', 2), 4);
  check('incrbyfloat', await c.incrbyfloat('{t}a', 0.5), '4.5');
  check('exists', await c.exists('{t}a', '{t}b'), 2);
  check('touch', await c.touch('{t}a'), 1);
  check('type', await c.type('{t}a'), 'string');
  check('rename', await c.rename('{t}a', '{t}d'), 'OK');
  check('renamenx', await c.renamenx('{t}d', '{t}b'), 0);
  check('copy', await c.copy('{t}d', '{t}e'), 1);
  check('expire', await c.expire('{t}d', 100), 1);
  check('pexpireat', await c.pexpireat('{t}d', Date.now() + 1e6), 1);
  check('del', await c.del('{t}d', '{t}e'), 2);
  check('unlink', await c.unlink('{t}b'), 1);
  await rejects('incr', c.set('word', 'x').then(() => c.incr('word')), 'not an integer');
  await rejects('hset', c.hset('h', 'f', 'v'), 'strings only');
  const pipe = await c.pipeline().set('{p}1', '1').incr('{p}1').get('{p}1').exec();
  check('pipeline', pipe.map((r) => r[1]), ['OK', 2, '2']);
  const multi = await c.multi().set('{p}1', '5').incr('{p}1').exec();
  check('multi', multi.map((r) => r[1]), ['OK', 6]);
  let found = 0;
  for (const n of c instanceof Cluster ? c.nodes('master') : [c]) {
    let cursor = '0';
    do {
      const [next, keys] = await n.scan(cursor, 'MATCH', '{p}*', 'COUNT', 100);
      cursor = next;
      found += keys.length;
    } while (cursor !== '0');
  }
  check('scan', found, 1);
  if (c instanceof Cluster) return;
  check('mset across', await c.mset('x1', '1', 'x2', '2', 'x3', '3'), 'OK');
  check('mget across', await c.mget('x1', 'x3', 'x4'), ['1', '3', null]);
  check('del across', await c.del('x1', 'x2', 'x3'), 3);
}

c.once('ready', () => serve({ version, get: (k) => c.get(k), set: (k, v) => c.set(k, v), commands }));
