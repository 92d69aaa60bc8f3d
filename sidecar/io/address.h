// SPDX-License-Identifier: Apache-2.0
/* Socket addresses as text: "unix:/path", "127.0.0.1:80", "[::1]:80". */
#ifndef SIDECAR_IO_ADDRESS_H
#define SIDECAR_IO_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "sidecar/base/fail.h"
#include "sidecar/base/span.h"

#define ADDRESS_TEXT_BYTES 64
#define ADDRESS_HOST_BYTES 256

struct address {
    bool is_unix;
    struct sockaddr_un un;
    char host[ADDRESS_HOST_BYTES]; /* without brackets */
    uint16_t port;
};

/* RC_CONFIG when malformed. The host may be a name. */
int address_parse(struct span s, struct address *ret, struct fail *f) must_use;

/* The host as a numeric address; RC_CONFIG when it is a name. */
int address_numeric(const struct address *a, struct sockaddr_storage *ret,
                    struct fail *f) must_use;

/* IPv4 or IPv6 with port. */
void address_text(const struct sockaddr_storage *a,
                  char ret[ADDRESS_TEXT_BYTES]);

#endif
