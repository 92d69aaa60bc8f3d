// SPDX-License-Identifier: Apache-2.0
/*
 * The commands. Each is one file (backup and restore share one), gets its own
 * name as argv[0], and returns an exit code of sidecar/cli.h. One with parts
 * gets "command part" there, and the name of the part as argv[1], or nothing
 * there when it is bare (sidecar/commands.h). Those under `bailiff policy` are
 * in sidecar/cmd_policy_tool.h.
 */
#ifndef SIDECAR_CMD_H
#define SIDECAR_CMD_H

int cmd_run(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_log_verify(int argc, char **argv);
int cmd_log_query(int argc, char **argv);
int cmd_log_tail(int argc, char **argv);
int cmd_log_proof(int argc, char **argv);
int cmd_log_schema(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_agents(int argc, char **argv);
int cmd_hold(int argc, char **argv);
int cmd_review(int argc, char **argv);
int cmd_jobs(int argc, char **argv);
int cmd_feeds(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_completion(int argc, char **argv);

#endif
