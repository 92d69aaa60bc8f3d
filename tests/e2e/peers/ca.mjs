// SPDX-License-Identifier: Apache-2.0
// A certificate authority for tests. Everything is made by the openssl command
// line, so the certificates come from another implementation than the readers.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

/** @typedef {{certFile: string, keyFile: string, cert: Buffer, key: Buffer}} Pair */

export class Ca {
    #serial = 0;

    /** Makes a fresh authority whose files live in `dir`. */
    constructor(dir) {
        this.dir = dir;
        mkdirSync(dir, { recursive: true });
        this.keyFile = join(dir, 'ca.key');
        this.file = join(dir, 'ca.pem');
        newKey(this.keyFile);
        openssl('req', '-x509', '-new', '-key', this.keyFile, '-out', this.file, '-days', '2',
            '-subj', '/CN=bailiff test CA', '-addext', 'basicConstraints=critical,CA:TRUE',
            '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
        this.pem = readFileSync(this.file);
    }

    /** A server certificate for localhost and the loopback addresses. */
    server(name) {
        return this.issue(name, 'DNS:localhost,IP:127.0.0.1,IP:::1', 'serverAuth');
    }

    /** A client certificate with one URI SAN, as SPIFFE asks for. */
    client(name, spiffeId) {
        return this.issue(name, `URI:${spiffeId}`, 'clientAuth');
    }

    /**
     * @param {string} name file name and common name
     * @param {string} san subjectAltName in openssl's notation
     * @param {string} usage extendedKeyUsage
     * @returns {Pair}
     */
    issue(name, san, usage) {
        const at = (suffix) => join(this.dir, `${name}.${suffix}`);
        newKey(at('key'));
        openssl('req', '-new', '-key', at('key'), '-out', at('csr'), '-subj', `/CN=${name}`);
        writeFileSync(at('ext'), `subjectAltName=${san}\nextendedKeyUsage=${usage}\n`
            + 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n');
        openssl('x509', '-req', '-in', at('csr'), '-CA', this.file, '-CAkey', this.keyFile,
            '-set_serial', String(++this.#serial), '-days', '2', '-extfile', at('ext'),
            '-out', at('pem'));
        return {
            certFile: at('pem'), keyFile: at('key'),
            cert: readFileSync(at('pem')), key: readFileSync(at('key')),
        };
    }
}

/** Lower-case hex SHA-256 of a certificate's DER. */
export const fingerprint = (pem) =>
    new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();

function newKey(file) {
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file);
    execFileSync('chmod', ['600', file]);
}
