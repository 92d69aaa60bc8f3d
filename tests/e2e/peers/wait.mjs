// SPDX-License-Identifier: Apache-2.0
// Waiting and measuring, the two things every test needs.
import { createServer } from 'node:net';
import { performance } from 'node:perf_hooks';

export const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/**
 * How long what is to happen may take, however busy the machine: only a failure
 * waits for so long.
 */
export const PATIENCE_MS = 60000;

/** Milliseconds on the monotonic clock. */
export const now = () => performance.now();

/**
 * Asks `probe` until it gives something truthy and returns that.
 * Throws with `what` and the last answer (or error) when patience is over, and
 * at once when `probe` throws an error that is `isFinal`.
 */
export async function until(what, probe, every = 10) {
    const end = now() + PATIENCE_MS;
    let last;
    for (;;) {
        try {
            last = await probe();
            if (last) return last;
        } catch (e) {
            if (e.isFinal) throw e;
            last = e;
        }
        if (now() > end) {
            const seen = last instanceof Error ? last.message : JSON.stringify(last);
            throw new Error(`waited ${PATIENCE_MS} ms for ${what}; last seen: ${seen}`);
        }
        await sleep(every);
    }
}

/** Runs `work` and returns [its result, milliseconds it took]. */
export async function timed(work) {
    const start = now();
    const result = await work();
    return [result, now() - start];
}

const taken = new Set();

/**
 * A TCP port on 127.0.0.1 below the ephemeral range, free at this moment, never
 * given out twice by this process. For servers that must come back on the same
 * port; everything else uses port 0.
 */
export async function freePort() {
    for (;;) {
        const port = 20000 + Math.floor(Math.random() * 12000);
        if (!taken.has(port) && await isFree(port)) {
            taken.add(port);
            return port;
        }
    }
}

const isFree = (port) => new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
});

/** Listens on 127.0.0.1 and resolves with the port once bound. */
export const listen = (server, port = 0) => new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => {
        server.off('error', fail);
        done(server.address().port);
    });
});
