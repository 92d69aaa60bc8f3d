// SPDX-License-Identifier: Apache-2.0
// Node 20 or later is what the libraries ask for; Debian 12 ships Node 18. The
// few functions that 18 lacks are put in place here. Import this first.
import crypto from 'node:crypto';

globalThis.crypto ??= crypto.webcrypto;
globalThis.CryptoKey ??= crypto.webcrypto.CryptoKey;
URL.parse ??= (url, base) => {
    try {
        return new URL(url, base);
    } catch {
        return null;
    }
};

/** oidc-provider's memory of seen assertions calls crypto.hash, new in Node 20. */
export function rememberAssertions({ ReplayDetection }) {
    if (crypto.hash) return;
    ReplayDetection.unique = async function unique(iss, jti, exp) {
        const id = crypto.createHash('sha256').update(`${iss}${jti}`).digest('base64url');
        if (await this.find(id)) return false;
        await this.instantiate({ jti: id, iss }).save(exp - Math.floor(Date.now() / 1000));
        return true;
    };
}
