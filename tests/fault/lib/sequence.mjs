// SPDX-License-Identifier: Apache-2.0

/** A repeatable sequence of numbers below `n` (a linear congruence). */
export function sequence(seed) {
    let state = seed;
    return (n) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state >>> 8) % n;
    };
}
