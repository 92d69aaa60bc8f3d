// SPDX-License-Identifier: Apache-2.0
// What shim.c is told, and what it counted.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const SHIM = resolve(ROOT, process.env.SHIM ?? 'build/release/tests/fault/shim.so');

/** The environment that makes the program meet `fault`; see shim.c. */
export const shim = (fault, more = {}) => ({ LD_PRELOAD: SHIM, FAULT: fault, ...more });

/** A switch for FAULT_WHILE, and the count of calls in FAULT_COUNT. */
export class Switch {
    constructor(dir) {
        this.file = join(dir, 'fault-now');
        this.countFile = join(dir, 'fault-count');
        this.off();
    }

    on() { writeFileSync(this.file, ''); }

    off() { rmSync(this.file, { force: true }); }

    /** Matching calls of the process started last. */
    get count() {
        return existsSync(this.countFile) ? Number(readFileSync(this.countFile).readBigUInt64LE())
            : 0;
    }

    /** The environment for a fault that is there only while the switch is on. */
    env(fault) { return shim(fault, { FAULT_WHILE: this.file, FAULT_COUNT: this.countFile }); }

    /** ... that is there from the start. */
    counted(fault) { return shim(fault, { FAULT_COUNT: this.countFile }); }
}
