# SPDX-License-Identifier: Apache-2.0
# bailiff: the only makefile. `make help` lists the targets.
V ?= release
CC ?= gcc
PREFIX ?= /usr/local
B := build/$(V)
Q := $(if $(VERBOSE),,@)

OPT.release := -O2 -g
OPT.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT.tsan := -O1 -g -fsanitize=thread
OPT.cov := -O0 -g --coverage
OPT.fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined
OPT.analyze := -O1 -g -fanalyzer
ifeq ($(OPT.$(V)),)
$(error unknown variant V=$(V))
endif

CSTD := -std=gnu11 -D_GNU_SOURCE -I. -I$(B)/gen
WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wvla -Wformat=2 \
	-Wstrict-prototypes -Wmissing-prototypes -Wcast-align -Wcast-qual -Wwrite-strings \
	-Wimplicit-fallthrough -Wdouble-promotion -Wdate-time -Wnull-dereference -Werror
PKGS := libnghttp2 libprotobuf-c jansson libjwt openssl libuv sqlite3 libcurl yaml-0.1
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS)))
PKG_LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread -lm

# Debian 13 packages llhttp as a library; on Debian 12 the C sources that
# node-llhttp installs are compiled in.
ifneq ($(wildcard /usr/include/llhttp.h),)
PKG_LIBS += -lllhttp
LLHTTP_C :=
else
LLHTTP_C := $(wildcard /usr/share/llhttp/*.c)
CSTD += -isystem /usr/share/include/llhttp
endif

MAIN := sidecar/main.c
SRC := $(filter-out $(MAIN),$(wildcard sidecar/*.c sidecar/*/*.c policy/*.c proto/*.c adapters/*.c adapters/*/*.c))
OBJ := $(SRC:%.c=$(B)/%.o)
PROTOS := $(wildcard proto/*.proto)
GEN := $(PROTOS:proto/%.proto=$(B)/gen/proto/%.pb-c.c)
GEN_OBJ := $(GEN:.c=.o) $(LLHTTP_C:/usr/share/llhttp/%.c=$(B)/gen/llhttp/%.o)
LIB := $(B)/libbailiff.a
UNIT := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/test_*.c))
TESTLIB := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))

.PHONY: all unit clean help
all: $(B)/bailiff ## build the program

$(B)/bailiff: $(B)/sidecar/main.o $(LIB)
	$(Q)$(CC) $(OPT.$(V)) $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

$(LIB): $(OBJ) $(GEN_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

# Identifiers are handled as bytes inside: protobuf-c cuts strings at NUL, so a
# wire-identical proto with `bytes` is generated from the public one.
$(B)/gen/proto/%.proto: proto/%.proto Makefile
	@mkdir -p $(@D)
	$(Q)sed -E 's/^( *(repeated )?)string /\1bytes /' $< > $@
$(B)/gen/proto/%.pb-c.c $(B)/gen/proto/%.pb-c.h: $(B)/gen/proto/%.proto
	$(Q)cd $(B)/gen && protoc --c_out=. proto/$*.proto 2>/dev/null
$(B)/gen/all.fds: $(PROTOS)
	@mkdir -p $(@D)
	$(Q)protoc --include_imports --descriptor_set_out=$@ $(PROTOS)
.SECONDARY:

$(B)/gen/proto/%.o: $(B)/gen/proto/%.pb-c.c
$(B)/gen/%.o: $(B)/gen/%.c
	$(Q)$(CC) $(CSTD) -w $(OPT.$(V)) $(CFLAGS) -c -o $@ $<
$(B)/gen/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) -w $(OPT.$(V)) $(CFLAGS) -c -o $@ $<
$(B)/%.o: %.c Makefile | $(GEN:.c=.h) $(B)/gen/all.fds
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(PKG_CFLAGS) $(WARN) $(OPT.$(V)) -MMD -MP $(CFLAGS) -c -o $@ $<

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TESTLIB) $(LIB)
	$(Q)$(CC) $(OPT.$(V)) $(LDFLAGS) -o $@ $< $(TESTLIB) $(LIB) -lcmocka $(PKG_LIBS)

unit: $(UNIT) ## build and run the unit tests (T=name for one)
	$(Q)tests/lib/run-unit $(filter %$(if $(T),test_$(T),),$(UNIT))

clean: ## remove build/
	rm -rf build
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

-include $(shell find $(B) -name '*.d' 2>/dev/null)
