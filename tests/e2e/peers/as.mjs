// SPDX-License-Identifier: Apache-2.0
// The authorization server: oidc-provider with client credentials, RFC 7009
// revocation and RFC 7662 introspection. Access tokens are opaque.
import { rememberAssertions } from './node18.mjs';
import { request1, TlsServer } from './http.mjs';
import { randomId, SigningKey } from './keys.mjs';
import { now } from './wait.mjs';

const TOKEN = '/token';
const form = (values) => new URLSearchParams(values).toString();

export class AuthServer {
    /** Who may talk to it. `bailiff` revokes with a secret, `bailiff-jwt` with an assertion. */
    clients = {
        agent: randomId(24), bailiff: randomId(24), auditor: randomId(24),
    };
    /** Signs the assertions of `bailiff-jwt`. */
    assertionKey = new SigningKey('ES256', 'bailiff-assertion');
    /** Requests to the revocation endpoint: {at, status, client}. */
    revocations = [];
    /** {status, headers?}: the revocation endpoint answers so; null is good behaviour. */
    revocationFault = null;
    #ca;
    #server;
    #handle;

    constructor(ca, name = 'as') {
        this.#ca = ca;
        this.#server = new TlsServer(ca.server(name), (req, res) => this.#serve(req, res));
    }

    async start() {
        await this.#server.start();
        this.issuer = this.#server.origin;
        this.revocationUrl = `${this.issuer}/token/revocation`;
        const { default: Provider } = await quietly(() => import('oidc-provider'));
        const provider = await quietly(() => new Provider(this.issuer, this.#configuration()));
        rememberAssertions(provider);
        this.#handle = provider.callback();
        return this;
    }

    stop() { return this.#server.stop(); }

    /** Comes back on the same port after stop(), with everything it knew. */
    restart() { return this.#server.start(); }

    /** A fresh access token of the agent's client. */
    async token(scope = 'tools') {
        const { status, json, body } = await this.#post(TOKEN, 'agent', {
            grant_type: 'client_credentials', scope,
        });
        if (status !== 200) throw new Error(`no token: ${status} ${body}`);
        return json.access_token;
    }

    /** What a resource server would be told about `token`. */
    async isActive(token) {
        const { json, status } = await this.#post('/token/introspection', 'auditor', { token });
        if (status !== 200) throw new Error(`introspection answered ${status}`);
        return json.active;
    }

    #post(path, client, values) {
        const basic = Buffer.from(`${client}:${this.clients[client]}`).toString('base64');
        return request1(this.issuer + path, {
            method: 'POST', ca: this.#ca.pem, body: form(values),
            headers: {
                authorization: `Basic ${basic}`,
                'content-type': 'application/x-www-form-urlencoded',
            },
        });
    }

    #serve(req, res) {
        if (req.url !== '/token/revocation') return this.#handle(req, res);
        const seen = { at: now(), scheme: (req.headers.authorization ?? 'body').split(' ')[0] };
        res.on('finish', () => this.revocations.push({ ...seen, status: res.statusCode }));
        if (!this.revocationFault) return this.#handle(req, res);
        const { status, headers = {} } = this.revocationFault;
        req.resume();
        return res.writeHead(status, headers).end();
    }

    #configuration() {
        const signed = { id_token_signed_response_alg: 'ES256', redirect_uris: [],
            response_types: [] };
        const secret = (id, grants) => ({
            client_id: id, client_secret: this.clients[id], grant_types: grants,
            token_endpoint_auth_method: 'client_secret_basic', ...signed,
        });
        return {
            jwks: { keys: [{ ...new SigningKey('ES256', 'as').privateKey.export({ format: 'jwk' }),
                kid: 'as', use: 'sig', alg: 'ES256' }] },
            scopes: ['tools'],
            clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt',
                'none'],
            enabledJWA: {
                clientAuthSigningAlgValues: ['ES256', 'RS256'],
                idTokenSigningAlgValues: ['ES256'],
            },
            clients: [
                secret('agent', ['client_credentials']), secret('bailiff', []),
                secret('auditor', []),
                {
                    client_id: 'bailiff-jwt', grant_types: [], ...signed,
                    token_endpoint_auth_method: 'private_key_jwt',
                    token_endpoint_auth_signing_alg: 'ES256',
                    jwks: { keys: [this.assertionKey.jwk] },
                },
            ],
            features: {
                devInteractions: { enabled: false },
                clientCredentials: { enabled: true },
                introspection: { enabled: true, allowedPolicy: () => true },
                revocation: { enabled: true, allowedPolicy: () => true },
            },
            ttl: { ClientCredentials: 600 },
        };
    }
}

/** oidc-provider prints notices for developers; a test's output is for results. */
async function quietly(work) {
    const { warn, info } = console;
    Object.assign(console, { warn() {}, info() {} });
    try {
        return await work();
    } finally {
        Object.assign(console, { warn, info });
    }
}
