import { execFileSync } from 'node:child_process';
import { writeFileSync, rmSync, statfsSync, renameSync, chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, known, tell, audited } from './peers/scenario.mjs';
import { sleep, until, now } from './peers/wait.mjs';
import { World } from './peers/world.mjs';
const which = process.argv[2];
const quiet = (p) => p.catch((e) => e);
const w = await World.make();
let where = which === 'logfull' ? join(w.bailiff.dataDir, 'log') : w.bailiff.dataDir;
execFileSync('mkdir', ['-p', where]);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', where]);
try {
  await w.bailiff.init();
  await w.bailiff.start();
  const gate = w.gate();
  const agent = await known(w, gate, '1');
  const victim = await known(w, gate, '2');
  const filler = join(where, 'filler');
  try { for (let i = 1 << 20; i > 10; i >>= 1) { try { for (;;) writeFileSync(filler, Buffer.alloc(i), { flag: 'a' }); } catch {} } } catch {}
  console.log('free', statfsSync(where).bavail);
  const acked = [];
  const t0 = now();
  const codes = {};
  for (let i = 0; i < 60; i++) {
    const a = await quiet(w.idp.tell('patch:notice', agent));
    codes[a.status ?? a.code] = (codes[a.status ?? a.code] ?? 0) + 1;
    if (a.status === 202) acked.push(a.set.jti);
    if (i === 30) { const d = await quiet(w.idp.tell('deactivate', victim)); console.log('deactivate', d.status ?? d.code); 
      console.log('victim', await quiet(ask(gate, victim))); }
  }
  console.log('codes', codes, 'gate', await quiet(ask(gate, agent)), Math.round(now() - t0), 'ms');
  console.log(w.bailiff.stderr.split('\n').filter((l) => /blocked|poison|fatal|broken|level=error|ERROR/.test(l)).slice(0, 8).join('\n'));
  const gone = await Promise.race([w.bailiff.exited, sleep(1500)]);
  console.log('exited?', gone);
  rmSync(filler);
  if (gone) { await w.bailiff.start(); }
  else await until('202 again', async () => (await quiet(w.idp.tell('patch:notice', agent))).status === 202, 15000);
  await until('allow again', async () => (await quiet(ask(gate, agent))) === 'allow', 15000);
  console.log('victim after', await quiet(ask(gate, victim)));
  const r = await w.bailiff.stop(); console.log('stop', r);
  const v = await w.bailiff.verifyLog(); console.log('verify', v.code, v.stdout.slice(0, 300), v.stderr.slice(0, 300));
  const logged = new Set(w.bailiff.log().map((x) => x.jti));
  console.log('lost', acked.filter((j) => !logged.has(j)).length, 'of', acked.length);
  console.log(w.bailiff.stderr.match(/ERROR: .*|SUMMARY.*/g));
} finally {
  console.log(w.bailiff.stderr.slice(-600));
  await quiet(w.close().catch((e) => console.log(e.message)));
  execFileSync('umount', ['-l', where]);
  process.exit(0);
}
