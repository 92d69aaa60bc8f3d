// SPDX-License-Identifier: Apache-2.0
#include "sidecar/commands.h"

#include <stddef.h>

#include "sidecar/cmd.h"

const struct command commands[] = {
    {"for shells", "completion", cmd_completion, "bash zsh fish",
     "usage: bailiff completion bash|zsh|fish", "print a completion script",
     "Prints a script for your shell, for example:\n"
     "    bailiff completion bash > /etc/bash_completion.d/bailiff\n",
     ""},
    {"look at tokens", "set", cmd_set, "inspect verify verify-jws",
     "usage: bailiff set inspect [FILE]\n"
     "       bailiff set verify --jwk FILE --issuer URL --audience URL [FILE]\n"
     "       bailiff set verify-jws --jwk FILE < TOKEN\n"
     "       bailiff set verify-jws --batch < LINES",
     "inspect and check security event tokens",
     "inspect shows a token and vouches for nothing. verify does what a feed\n"
     "does with it. verify-jws checks one signature and prints the payload;\n"
     "with --batch each line is a key file, a tab and a token, and each answer\n"
     "is `accept`, or `refuse`, a tab and a reason.\n",
     "  --jwk FILE       a JWK or a JWK set\n"
     "  --pem FILE       a public key or certificate\n"
     "  --alg LIST       algorithms to allow: RS256,PS256,ES256,ES384,EdDSA\n"
     "  --batch          many tokens from standard input\n"
     "  --issuer URL     the only `iss` to accept\n"
     "  --audience LIST  what `aud` may name\n"
     "  --types LIST     Agents=agent,Users=user,Groups=group\n"
     "  --base URL       SCIM base of the subjects\n"
     "  --stream ID      stream that verification events must name\n"
     "  --now TIME       judge as if it were then\n"
     "  --allow-untyped  accept a header without typ\n"
     "  --allow-sub      ignore `sub` instead of refusing\n"
     "  --allow-exp      ignore `exp` instead of refusing\n"
     "  --uri-aliases    accept the event URIs of drafts\n"},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};
