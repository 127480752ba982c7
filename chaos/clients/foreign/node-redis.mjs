import { createRequire } from 'node:module';
import { createClient, createCluster } from 'redis';
import { check, rejects, serve } from './phases.mjs';

const nodes = process.argv.slice(2).map((a) => ({ url: `redis://${a}` }));
const gateway = nodes.length === 1; // one address is a gateway's
const c = gateway ? createClient({ ...nodes[0], RESP: 3 }) : createCluster({ rootNodes: nodes, RESP: 3 });
c.on('error', () => {});
await c.connect();
const { version } = createRequire(import.meta.url)('redis/package.json');

async function commands() {
  check('set', await c.set('k', 'v'), 'OK');
  check('set nx', await c.set('k', 'w', { condition: 'NX' }), null);
  check('set xx get', await c.set('k', 'v2', { condition: 'XX', GET: true }), 'v');
  check('set ex', await c.set('k', 'v', { expiration: { type: 'EX', value: 100 } }), 'OK');
  check('ttl', (await c.ttl('k')) > 90, true);
  check('pTTL', (await c.pTTL('k')) > 90000, true);
  check('expireTime', (await c.expireTime('k')) > 1e9, true);
  check('persist', Number(await c.persist('k')), 1);
  check('get', await c.get('k'), 'v');
  check('getSet', await c.getSet('k', 'w'), 'v');
  check('getDel', await c.getDel('k'), 'w');
  check('setNX', Number(await c.setNX('k', 'v')), 1);
  check('setEx', await c.setEx('k', 100, 'v'), 'OK');
  check('pSetEx', await c.pSetEx('k', 100000, 'v'), 'OK');
  check('getEx', await c.getEx('k', { type: 'PERSIST' }), 'v');
  check('append', await c.append('k', 'w'), 2);
  check('strLen', await c.strLen('k'), 2);
  check('getRange', await c.getRange('k', 0, 0), 'v');
  check('setRange', await c.setRange('k', 1, 'x'), 2);
  check('mSet', await c.mSet({ '{t}a': '1', '{t}b': '2' }), 'OK');
  check('mGet', await c.mGet(['{t}a', '{t}b', '{t}c']), ['1', '2', null]);
  check('mSetNX', Number(await c.mSetNX({ '{t}a': '1', '{t}c': '2' })), 0);
  check('incr', await c.incr('{t}a'), 2);
  check('incrBy', await c.incrBy('{t}a', 5), 7);
  check('decr', await c.decr('{t}a'), 6);
  check('decrBy', await c.decrBy('{t}a', 2), 4);
  check('incrByFloat', await c.incrByFloat('{t}a', 0.5), '4.5');
  check('exists', await c.exists(['{t}a', '{t}b']), 2);
  check('touch', await c.touch('{t}a'), 1);
  check('type', await c.type('{t}a'), 'string');
  check('rename', await c.rename('{t}a', '{t}d'), 'OK');
  check('renameNX', Number(await c.renameNX('{t}d', '{t}b')), 0);
  check('copy', Number(await c.copy('{t}d', '{t}e')), 1);
  check('expire', Number(await c.expire('{t}d', 100)), 1);
  check('pExpireAt', Number(await c.pExpireAt('{t}d', Date.now() + 1e6)), 1);
  check('del', await c.del(['{t}d', '{t}e']), 2);
  check('unlink', await c.unlink('{t}b'), 1);
  await c.set('word', 'x');
  await rejects('incr', c.incr('word'), 'not an integer');
  await rejects('hSet', c.hSet('h', 'f', 'v'), 'strings only');
  check('multi', await c.multi().set('{p}1', '5').incr('{p}1').exec(), ['OK', 6]);
  let found = 0;
  for (const m of gateway ? [c] : c.masters) {
    const n = gateway ? c : await c.nodeClient(m);
    for await (const keys of n.scanIterator({ MATCH: '{p}*', COUNT: 100 })) found += keys.length;
  }
  check('scan', found, 1);
  if (!gateway) return;
  check('mSet across', await c.mSet({ x1: '1', x2: '2', x3: '3' }), 'OK');
  check('mGet across', await c.mGet(['x1', 'x3', 'x4']), ['1', '3', null]);
  check('del across', await c.del(['x1', 'x2', 'x3']), 3);
}

serve({ version, get: (k) => c.get(k), set: (k, v) => c.set(k, v), commands });
