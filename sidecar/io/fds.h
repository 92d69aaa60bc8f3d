// SPDX-License-Identifier: Apache-2.0
/* The FileDescriptorSet of proto/, as protoc wrote it during the build. */
#ifndef SIDECAR_IO_FDS_H
#define SIDECAR_IO_FDS_H

#include "sidecar/base/span.h"

struct span fds_bytes(void);

#endif
