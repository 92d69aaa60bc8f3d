// SPDX-License-Identifier: Apache-2.0
/*
 * The commands under `bailiff policy`. Each gets "policy NAME" as argv[0] and
 * its own name as argv[1], and returns an exit code of sidecar/cli.h.
 */
#ifndef SIDECAR_CMD_POLICY_TOOL_H
#define SIDECAR_CMD_POLICY_TOOL_H

int cmd_policy_check(int argc, char **argv);
int cmd_policy_show(int argc, char **argv);
int cmd_policy_test(int argc, char **argv);
int cmd_policy_schema(int argc, char **argv);
int cmd_policy_explain(int argc, char **argv);
int cmd_policy_fmt(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_candidate(int argc, char **argv);
int cmd_policy_init(int argc, char **argv);
int cmd_policy_keygen(int argc, char **argv);
int cmd_policy_sign(int argc, char **argv);
int cmd_policy_verify(int argc, char **argv);
int cmd_policy_status(int argc, char **argv);
int cmd_policy_history(int argc, char **argv);
int cmd_policy_reload(int argc, char **argv);
int cmd_policy_rollback(int argc, char **argv);

#endif
