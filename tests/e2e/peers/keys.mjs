// SPDX-License-Identifier: Apache-2.0
// Signing keys of a transmitter, and compact JWS made in two ways: by jose for
// well-formed tokens, by hand for hostile ones.
import './node18.mjs';
import {
    createHmac, generateKeyPairSync, randomBytes, sign as rawSign,
} from 'node:crypto';
import { CompactSign } from 'jose';

/** JWS algorithm to how its key is made and how node signs with it. */
const ALGORITHMS = {
    ES256: ['ec', { namedCurve: 'P-256' }, 'sha256', { dsaEncoding: 'ieee-p1363' }],
    ES384: ['ec', { namedCurve: 'P-384' }, 'sha384', { dsaEncoding: 'ieee-p1363' }],
    RS256: ['rsa', { modulusLength: 2048 }, 'sha256', {}],
    PS256: ['rsa', { modulusLength: 2048 }, 'sha256', { padding: 6, saltLength: 32 }],
    EdDSA: ['ed25519', {}, null, {}],
};

export class SigningKey {
    constructor(alg, kid, generate = {}) {
        const [type, options] = ALGORITHMS[alg];
        Object.assign(this, generateKeyPairSync(type, { ...options, ...generate }), { alg, kid });
    }

    /** The public half as it stands in a JWKS. */
    get jwk() {
        const { kid, alg } = this;
        return { ...this.publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
    }

    get publicPem() { return this.publicKey.export({ format: 'pem', type: 'spki' }); }

    get privatePem() { return this.privateKey.export({ format: 'pem', type: 'pkcs8' }); }

    /** Signature over the bytes of `input`. */
    sign(input) {
        const [, , hash, options] = ALGORITHMS[this.alg];
        return rawSign(hash, Buffer.from(input), { key: this.privateKey, ...options });
    }
}

export const b64u = (text) => Buffer.from(text).toString('base64url');

/** A well-formed compact SET. `header` replaces single header members. */
export function signSet(key, claims, header = {}) {
    return new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ typ: 'secevent+jwt', alg: key.alg, kid: key.kid, ...header })
        .sign(key.privateKey);
}

/**
 * A compact token from the very texts given: duplicate members, a header that
 * does not fit the key, anything. `signer` is a SigningKey, {hmac: secret}, or
 * null for an empty signature.
 */
export function signRaw(signer, headerText, payloadText) {
    const input = `${b64u(headerText)}.${b64u(payloadText)}`;
    let signature = Buffer.alloc(0);
    if (signer?.hmac) signature = createHmac('sha256', signer.hmac).update(input).digest();
    else if (signer) signature = signer.sign(input);
    return `${input}.${signature.toString('base64url')}`;
}

export const randomId = (bytes = 12) => randomBytes(bytes).toString('base64url');
