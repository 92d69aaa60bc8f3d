// SPDX-License-Identifier: Apache-2.0
#include "sidecar/io/tls.h"

#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define BIO_NOT_NOW (-1)
#define TLS_PATH_BYTES 4096
#define TLS_NAME_BYTES 256

struct tls_ctx {
    SSL_CTX *ssl;
    BIO_METHOD *method;
    unsigned users; /* connections and the owner */
    bool client;
};

struct tls {
    SSL *ssl;
    struct tls_ctx *ctx;
    struct span in; /* lent by tls_feed */
    struct buf out;
};

/* --- the BIO: reads what was lent, appends what is to be sent ----------- */

static int bio_read(BIO *b, char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (t->in.n == 0) {
        BIO_set_retry_read(b);
        return BIO_NOT_NOW;
    }
    size_t take = t->in.n < (size_t)n ? t->in.n : (size_t)n;
    memcpy(p, t->in.p, take);
    t->in = span_sub(t->in, take, t->in.n);
    return (int)take;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    buf_put(&t->out, span_of(p, (size_t)n));
    return buf_ok(&t->out) ? n : BIO_NOT_NOW;
}

static long bio_ctrl(BIO *b, int cmd, long arg, void *p)
{
    (void)b;
    (void)arg;
    (void)p;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    BIO_METHOD *m =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lent bytes");
    if (m != NULL && BIO_meth_set_read(m, bio_read) == 1 &&
        BIO_meth_set_write(m, bio_write) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* --- context ------------------------------------------------------------ */

static int fail_ssl(struct fail *f, const char *what, struct span subject)
{
    char text[160];
    unsigned long e = ERR_get_error();
    ERR_error_string_n(e, text, sizeof(text));
    ERR_clear_error();
    return fail(f, RC_CONFIG, "%s %.*s: %s", what, PRSPAN(subject), text);
}

static int path_of(struct span s, char ret[TLS_PATH_BYTES], struct fail *f)
{
    if (s.n >= TLS_PATH_BYTES || memchr(s.p, 0, s.n) != NULL)
        return fail(f, RC_CONFIG, "bad file name");
    memcpy(ret, s.p, s.n);
    ret[s.n] = 0;
    return 0;
}

/* h2 first; a client that offers neither is refused, one without ALPN is
 * judged by its first bytes. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                   const unsigned char *offer, unsigned offer_n, void *arg)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *pick;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&pick, ret_n, ours, sizeof(ours) - 1, offer,
                              offer_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = pick;
    return SSL_TLSEXT_ERR_OK;
}

static int set_rules(SSL_CTX *s, bool client, struct fail *f)
{
    char groups[] = "X25519:P-256"; /* OpenSSL's macro drops the const */
    SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(
        s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(s, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(s, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set1_groups_list(s, groups) != 1 ||
        SSL_CTX_set_num_tickets(s, 0) != 1)
        return fail_ssl(f, "TLS", SPAN("settings"));
    if (!client) {
        SSL_CTX_set_alpn_select_cb(s, on_alpn, NULL);
        return 0;
    }
    static const unsigned char h2[] =
        "\x02"
        "h2";
    if (SSL_CTX_set_alpn_protos(s, h2, sizeof(h2) - 1) != 0)
        return fail_ssl(f, "TLS", SPAN("protocols"));
    return 0;
}

static int load_pair(SSL_CTX *s, const struct tls_conf *conf, struct fail *f)
{
    char path[TLS_PATH_BYTES];
    if (conf->cert_file.n == 0)
        return conf->client ? 0 : fail(f, RC_CONFIG, "no certificate file");
    TRY(path_of(conf->cert_file, path, f));
    if (SSL_CTX_use_certificate_chain_file(s, path) != 1)
        return fail_ssl(f, "certificate", conf->cert_file);
    TRY(path_of(conf->key_file, path, f));
    if (SSL_CTX_use_PrivateKey_file(s, path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(s) != 1)
        return fail_ssl(f, "private key", conf->key_file);
    return 0;
}

static int load_ca(SSL_CTX *s, const struct tls_conf *conf, struct fail *f)
{
    char path[TLS_PATH_BYTES];
    int mode = SSL_VERIFY_PEER;
    if (conf->ca_file.n == 0)
        return conf->client || conf->peer_required
                   ? fail(f, RC_CONFIG, "no CA file to check the peer with")
                   : 0;
    TRY(path_of(conf->ca_file, path, f));
    if (SSL_CTX_load_verify_file(s, path) != 1)
        return fail_ssl(f, "CA", conf->ca_file);
    if (!conf->client)
        SSL_CTX_set_client_CA_list(s, SSL_load_client_CA_file(path));
    if (conf->peer_required)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(s, mode, NULL);
    return 0;
}

static int make_ctx(const struct tls_conf *conf, struct tls_ctx **ret,
                    struct fail *f)
{
    struct tls_ctx *c = mem_alloc(mem_system(), sizeof(*c));
    if (c == NULL)
        return fail(f, RC_NO_MEMORY, "out of memory");
    ERR_clear_error();
    c->users = 1;
    c->client = conf->client;
    c->method = bio_method();
    c->ssl =
        SSL_CTX_new(conf->client ? TLS_client_method() : TLS_server_method());
    int rc;
    if (c->method == NULL || c->ssl == NULL)
        rc = fail(f, RC_NO_MEMORY, "out of memory");
    else if ((rc = set_rules(c->ssl, conf->client, f)) == 0 &&
             (rc = load_pair(c->ssl, conf, f)) == 0)
        rc = load_ca(c->ssl, conf, f);
    if (rc < 0) {
        tls_ctx_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

int tls_ctx_new(const struct tls_conf *conf, struct tls_ctx **ret,
                struct fail *f)
{
    int rc = make_ctx(conf, ret, f);
    /* Where libcrypto finds no memory it may blame the file: one that is bad
     * is bad the second time, too. */
    return rc == RC_CONFIG ? make_ctx(conf, ret, f) : rc;
}

void tls_ctx_free(struct tls_ctx *c)
{
    if (c == NULL || --c->users > 0)
        return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->method);
    mem_release(mem_system(), c);
}

/* --- connection --------------------------------------------------------- */

static bool is_address(const char *name)
{
    return strchr(name, ':') != NULL ||
           name[strspn(name, "0123456789.")] == '\0';
}

static int expect_name(SSL *ssl, struct span name)
{
    char text[TLS_NAME_BYTES];
    if (name.n == 0 || name.n >= sizeof(text))
        return RC_CONFIG;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    if (is_address(text))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1
                   ? 0
                   : RC_CONFIG;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, text) != 1 ||
        SSL_set_tlsext_host_name(ssl, text) != 1)
        return RC_CONFIG;
    return 0;
}

int tls_new(struct tls_ctx *c, struct span name, struct tls **ret)
{
    struct tls *t = mem_alloc(mem_system(), sizeof(*t));
    BIO *b = BIO_new(c->method);
    if (t != NULL)
        t->ssl = SSL_new(c->ssl);
    if (t == NULL || b == NULL || t->ssl == NULL) {
        BIO_free(b);
        mem_release(mem_system(), t);
        return RC_NO_MEMORY;
    }
    c->users++;
    t->ctx = c;
    buf_init(&t->out, mem_system(), TLS_OUT_BYTES_MAX);
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    if (c->client)
        SSL_set_connect_state(t->ssl);
    else
        SSL_set_accept_state(t->ssl);
    if (c->client && expect_name(t->ssl, name) < 0) {
        tls_free(t);
        return RC_CONFIG;
    }
    *ret = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tls_ctx_free(t->ctx);
    buf_fini(&t->out);
    mem_release(mem_system(), t);
}

void tls_feed(struct tls *t, struct span bytes)
{
    t->in = bytes;
}

int tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int n = SSL_do_handshake(t->ssl);
    if (n == 1)
        return 1;
    int e = SSL_get_error(t->ssl, n);
    ERR_clear_error();
    return e == SSL_ERROR_WANT_READ ? 0 : RC_UNTRUSTED;
}

int tls_read(struct tls *t, unsigned char *p, size_t n, size_t *ret_n)
{
    ERR_clear_error();
    if (SSL_read_ex(t->ssl, p, n, ret_n) == 1)
        return 1;
    int e = SSL_get_error(t->ssl, 0);
    ERR_clear_error();
    if (e == SSL_ERROR_WANT_READ)
        return 0;
    return e == SSL_ERROR_ZERO_RETURN ? RC_EOF : RC_UNTRUSTED;
}

int tls_write(struct tls *t, struct span bytes)
{
    size_t n = 0;
    if (bytes.n == 0)
        return 0;
    ERR_clear_error();
    if (SSL_write_ex(t->ssl, bytes.p, bytes.n, &n) == 1 && n == bytes.n)
        return 0;
    ERR_clear_error();
    return RC_IO;
}

void tls_goodbye(struct tls *t)
{
    ERR_clear_error();
    ignore_rc(SSL_shutdown(t->ssl)); /* best effort: FIN follows */
    ERR_clear_error();
}

void tls_take_output(struct tls *t, struct buf *out)
{
    if (t->out.n == 0)
        return;
    buf_put(out, buf_span(&t->out));
    buf_fini(&t->out);
}

struct span tls_alpn(const struct tls *t)
{
    const unsigned char *p;
    unsigned n;
    SSL_get0_alpn_selected(t->ssl, &p, &n);
    return span_of(p, n);
}

/* SPIFFE X509-SVID 2: exactly one URI name, no NUL inside. */
static void take_spiffe(X509 *cert, struct tls_peer *ret)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    unsigned uris = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *u = g->d.uniformResourceIdentifier;
        struct span s =
            span_of(ASN1_STRING_get0_data(u), (size_t)ASN1_STRING_length(u));
        uris++;
        if (s.n == 0 || s.n > TLS_SPIFFE_BYTES_MAX || !span_is_text(s))
            uris = 2; /* unusable; two never count */
        else
            memcpy(ret->spiffe, s.p, s.n);
        ret->spiffe_n = s.n;
    }
    if (uris != 1)
        ret->spiffe_n = 0;
    ret->spiffe[ret->spiffe_n] = 0;
    GENERAL_NAMES_free(names);
}

void tls_peer_get(const struct tls *t, struct tls_peer *ret)
{
    ret->has_cert = false;
    ret->spiffe_n = 0;
    X509 *cert = SSL_get1_peer_certificate(t->ssl);
    if (cert == NULL)
        return;
    unsigned n = sizeof(ret->sha256);
    if (SSL_get_verify_result(t->ssl) == X509_V_OK &&
        X509_digest(cert, EVP_sha256(), ret->sha256, &n) == 1) {
        ret->has_cert = true;
        take_spiffe(cert, ret);
    }
    X509_free(cert);
}
