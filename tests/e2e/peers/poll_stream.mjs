// SPDX-License-Identifier: Apache-2.0
// The transmitter's side of RFC 8936: what waits, what was taken, what was
// acknowledged and when.
import { now } from './wait.mjs';

/**
 * @typedef {{jti: string, token: string, queuedAt: number, deliveries: number[],
 *     ackedAt?: number, err?: {err: string, description: string}, errAt?: number,
 *     language?: string}} PollItem
 * `language` is the Content-Language of the request that carried the error.
 */

export class PollStream {
    /** @type {Map<string, PollItem>} by the name under which it is sent */
    items = new Map();
    /** Every request as it came: {at, body, headers}. */
    requests = [];
    /** An unacknowledged item is sent again after this long. */
    redeliverMs = 1000;
    longPollMs = 30000;
    /**
     * Bad manners, switchable: `status` answers with that code;
     * `exceedMax` ignores maxEvents; `omitMore` leaves moreAvailable out.
     */
    fault = {};
    #waiting = new Set();

    /** Queues a token under `jti`, or under another name to be nasty. */
    queue(jti, token, at = now()) {
        this.items.set(jti, { jti, token, queuedAt: at, deliveries: [] });
        this.wake();
        return this.items.get(jti);
    }

    /** Lets waiting long polls look again. */
    wake() {
        for (const look of [...this.#waiting]) look();
    }

    get acked() { return [...this.items.values()].filter((i) => i.ackedAt !== undefined); }

    get refused() { return [...this.items.values()].filter((i) => i.err !== undefined); }

    get open() {
        return [...this.items.values()].filter((i) => i.ackedAt === undefined && !i.err);
    }

    /**
     * Handles one poll body and resolves with the answer's JSON, possibly late.
     * `gone` is an AbortSignal of the connection: null then.
     */
    async poll(body, headers, gone) {
        this.requests.push({ at: now(), body, headers });
        this.#settle(body, headers);
        const max = body.maxEvents ?? Infinity;
        if (!body.returnImmediately) await this.#wait(max, gone);
        return gone.aborted ? null : this.#take(max);
    }

    #settle(body, headers) {
        for (const jti of body.ack ?? []) {
            const item = this.items.get(jti);
            if (item) item.ackedAt ??= now();
        }
        for (const [jti, err] of Object.entries(body.setErrs ?? {})) {
            const item = this.items.get(jti);
            if (!item) continue;
            Object.assign(item, { err, errAt: now(), language: headers['content-language'] });
        }
    }

    #due() {
        const again = now() - this.redeliverMs;
        return this.open.filter((i) => (i.deliveries.at(-1) ?? -Infinity) <= again);
    }

    /** Resolves when something is due, the long-poll time is over or the peer left. */
    #wait(max, gone) {
        const ready = () => max > 0 && this.#due().length > 0;
        if (ready()) return Promise.resolve();
        return new Promise((done) => {
            const end = () => {
                this.#waiting.delete(look);
                clearInterval(again);
                clearTimeout(late);
                done();
            };
            const look = () => { if (ready()) end(); };
            const again = setInterval(look, Math.max(20, this.redeliverMs / 10));
            const late = setTimeout(end, this.longPollMs);
            gone.addEventListener('abort', end, { once: true });
            this.#waiting.add(look);
        });
    }

    #take(max) {
        const due = this.#due();
        const given = due.slice(0, this.fault.exceedMax ? Infinity : max);
        for (const item of given) item.deliveries.push(now());
        const sets = Object.fromEntries(given.map((i) => [i.jti, i.token]));
        if (this.fault.omitMore) return { sets };
        return { sets, moreAvailable: due.length > given.length };
    }
}
