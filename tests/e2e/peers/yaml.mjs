// SPDX-License-Identifier: Apache-2.0
// Writes plain objects as block-style YAML: strings quoted, undefined left out.

const scalar = (v) => (typeof v === 'string' ? JSON.stringify(v) : String(v));
const isTree = (v) => v !== null && typeof v === 'object';
const isEmpty = (v) => Object.keys(v).length === 0;

/** @param {object|Array} value @returns {string} */
export function toYaml(value, indent = '') {
    const entries = Array.isArray(value)
        ? value.map((v) => ['-', v])
        : Object.entries(value).map(([k, v]) => [`${k}:`, v]);
    return entries.filter(([, v]) => v !== undefined).map(([head, v]) => {
        if (!isTree(v)) return `${indent}${head} ${scalar(v)}\n`;
        if (isEmpty(v)) return `${indent}${head} ${Array.isArray(v) ? '[]' : '{}'}\n`;
        const inner = toYaml(v, `${indent}  `);
        return head === '-' ? `${indent}- ${inner.trimStart()}` : `${indent}${head}\n${inner}`;
    }).join('');
}
