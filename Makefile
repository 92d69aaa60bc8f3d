# SPDX-License-Identifier: Apache-2.0
# bailiff: the only makefile. `make help` lists the targets.
# Knobs: V (variant), CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, T (one test), VERBOSE.
V ?= release
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG := $(findstring clang,$(CC))
CCACHE := $(if $(findstring ccache,$(CC)),,$(shell command -v ccache 2>/dev/null))
B := build/$(V)$(if $(CLANG),-clang)
Q := $(if $(VERBOSE),,@)
VERSION := $(shell cat VERSION)

# The first of these flags that the compiler knows: nothing for an old one.
accepts = $(shell $(CC) -Werror $(1) -c -x c /dev/null -o /dev/null 2>/dev/null && echo '$(1)')
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE \
	-fstack-clash-protection -fno-strict-overflow -fno-delete-null-pointer-checks
OPT.release := -O2 -g $(HARDEN)
OPT.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT.tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT.cov := -O0 -g --coverage -fprofile-update=atomic
OPT.fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
OPT.analyze := -O1 -g -fanalyzer
ifeq ($(OPT.$(V)),)
$(error unknown variant V=$(V))
endif
LINK.release := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed
ifeq ($(V),release)
OPT.release += $(foreach f,-fcf-protection=full -ftrivial-auto-var-init=zero \
	-fzero-call-used-regs=used-gpr -fstrict-flex-arrays=3,$(call accepts,$(f)))
endif

CSTD := -std=gnu11 -D_GNU_SOURCE -DBAILIFF_VERSION='"$(VERSION)"' -ffile-prefix-map=$(CURDIR)=. -I. -I$(B)/gen
WARN := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wvla -Wformat=2 \
	-Wstrict-prototypes -Wmissing-prototypes -Wcast-align -Wcast-qual -Wwrite-strings \
	-Wimplicit-fallthrough -Wdouble-promotion -Wdate-time -Wnull-dereference -Werror
WARN += $(if $(CLANG),-Wcomma -Wconditional-uninitialized -Wassign-enum -Wshift-sign-overflow, \
	-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init -Wformat-signedness -Wtrampolines)
PKGS := libnghttp2 libprotobuf-c jansson libjwt openssl libuv sqlite3 libcurl yaml-0.1
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread -lm

# Debian 13 packages llhttp as a library; on Debian 12 the C sources that
# node-llhttp installs are compiled in.
ifneq ($(wildcard /usr/include/llhttp.h),)
PKG_LIBS += -lllhttp
LLHTTP_C :=
else
LLHTTP_C := $(wildcard /usr/share/llhttp/*.c)
CSTD += -isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
endif

MAIN := sidecar/main.c
SRC := $(filter-out $(MAIN),$(wildcard sidecar/*.c sidecar/*/*.c policy/*.c proto/*.c adapters/*.c adapters/*/*.c))
HDR := $(wildcard sidecar/*.h sidecar/*/*.h policy/*.h proto/*.h adapters/*.h adapters/*/*.h tests/lib/*.h tests/semantics/*.h tests/sim/*.h)
TEST_C := $(wildcard tests/unit/*.c tests/semantics/*.c tests/sweep/*.c tests/lib/*.c tests/fuzz/*.c tests/fault/*.c tests/bench/*.c tests/bench/lib/*.c tests/sim/*.c)
OBJ := $(SRC:%.c=$(B)/%.o)
PROTOS := $(wildcard proto/*.proto)
GEN := $(PROTOS:proto/%.proto=$(B)/gen/proto/%.pb-c.c)
GEN_OBJ := $(GEN:.c=.o) $(LLHTTP_C:/usr/share/llhttp/%.c=$(B)/gen/llhttp/%.o)
LIB := $(B)/libbailiff.a
TESTLIB := $(B)/libtest.a
programs = $(patsubst %.c,$(B)/%,$(wildcard tests/$(1)/$(2)_*.c))
pick = $(filter %$(if $(T),$(1)_$(T),),$(2))
UNIT := $(call programs,unit,test)
# The unit tests that hold the files of tests/golden against the program.
GOLDEN := $(filter %/test_config %/test_policy_golden,$(UNIT))
# The unit tests of what runs threads, worth the time under tsan.
THREADS := $(filter $(addprefix %/test_,log store decision_log work fetch jwks scim candidate),$(UNIT))
SWEEP := $(call programs,sweep,sweep)
SEMANTICS := $(call programs,semantics,semantics)
# The reference evaluator and what lives worlds by it.
SEMANTICSLIB := $(patsubst %.c,$(B)/%.o,$(filter-out tests/semantics/semantics_%,$(wildcard tests/semantics/*.c)))
FUZZ := $(call programs,fuzz,fuzz)
BENCH := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c))
SIMULATOR := $(B)/tests/sim/sim
SIM_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/*.c))
BENCHLIB := $(patsubst %.c,$(B)/%.o,$(wildcard tests/bench/lib/*.c))
LINK = $(CC) $(OPT.$(V)) $(LINK.$(V)) $(LDFLAGS) -o $@
export CC B

.PHONY: deps all net fault demo test run-tests check unit threads golden semantics vectors fuzz fuzz-replay sweep sim sim-forever sim-mutants e2e cli bench lint \
	lint-fast layers messages purity headers rules tidy cppcheck fmt fmt-check analyze cov install uninstall dist clean help
all: $(B)/bailiff ## build the program into build/<variant>/

$(B)/bailiff: $(B)/sidecar/main.o $(LIB)
	$(Q)$(LINK) $< $(LIB) $(PKG_LIBS)
$(LIB): $(OBJ) $(GEN_OBJ)
$(TESTLIB): $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
$(LIB) $(TESTLIB):
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
	$(Q)$(CCACHE) $(CC) $(CSTD) -w $(OPT.$(V)) $(CFLAGS) -c -o $@ $<
$(B)/gen/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) $(CSTD) -w $(OPT.$(V)) $(CFLAGS) -c -o $@ $<
$(B)/%.o: %.c Makefile | $(GEN:.c=.h) $(B)/gen/all.fds
	@mkdir -p $(@D)
	$(Q)$(CCACHE) $(CC) $(CSTD) $(PKG_CFLAGS) $(WARN) $(OPT.$(V)) -MMD -MP $(CFLAGS) -c -o $@ $<

$(B)/sidecar/io/fds.o $(B)/sidecar/io/fds.tidy: CSTD += -DFDS_PATH='"$(B)/gen/all.fds"'
$(B)/sidecar/io/fds.o: $(B)/gen/all.fds
$(UNIT) $(SWEEP): %: %.o $(TESTLIB) $(LIB)
	$(Q)$(LINK) $< $(TESTLIB) $(LIB) -lcmocka $(PKG_LIBS)
$(SEMANTICS): %: %.o $(SEMANTICSLIB) $(TESTLIB) $(LIB)
	$(Q)$(LINK) $< $(SEMANTICSLIB) $(TESTLIB) $(LIB) -lcmocka $(PKG_LIBS)
$(FUZZ): %: %.o $(B)/tests/fuzz/replay.o $(LIB)
	$(Q)$(LINK) $< $(if $(filter fuzz,$(V)),-fsanitize=fuzzer,$(B)/tests/fuzz/replay.o) $(LIB) $(PKG_LIBS)
$(BENCH): %: %.o $(BENCHLIB) $(LIB)
	$(Q)$(LINK) $< $(BENCHLIB) $(LIB) $(PKG_LIBS)

$(SIMULATOR): $(SIM_OBJ) $(LIB)
	$(Q)$(LINK) $(SIM_OBJ) $(LIB) $(PKG_LIBS)

# What a fresh machine lacks is installed first; the build then starts anew,
# because this file asked pkg-config before the libraries were there.
deps: ## install what building needs (Debian 12 and 13)
	@tests/lib/install-deps build
demo: ## build and show a complete world on this machine
	@tests/lib/install-deps build demo
	@$(MAKE) -s all && BAILIFF=$(B)/bailiff node examples/demo/demo.mjs
# All processors, unless whoever calls said how many.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
test: ## install what is missing, build, run every suite
	@tests/lib/install-deps build test
	@$(MAKE) -s --no-print-directory $(JOBS) run-tests
SUITES := unit golden semantics fuzz-replay sweep sim sim-mutants net cli e2e fault
run-tests: all
	@MAKE='$(MAKE)' tests/lib/run-suites $(SUITES)
check: ## the checks of every commit: unit tests, golden files, fast lint
	@tests/lib/install-deps build test lint
	@MAKE='$(MAKE)' tests/lib/run-suites unit golden lint-fast

unit: $(UNIT) ## build and run the unit tests (T=name for one)
	$(Q)tests/lib/run-unit unit $(if $(T),$(call pick,test,$(UNIT)),$(filter-out $(GOLDEN),$(UNIT)))
threads: $(THREADS) ## the unit tests of modules with threads (for V=tsan)
	$(Q)tests/lib/run-unit threads $(THREADS)
golden: $(GOLDEN) ## compare with the files of tests/golden (also part of unit T=name)
	$(Q)tests/lib/run-unit golden $(GOLDEN)
semantics: $(SEMANTICS) ## every world of a small universe against a slow reference evaluator
	$(Q)tests/lib/run-unit semantics $(call pick,semantics,$(SEMANTICS))
sweep: $(SWEEP) ## fail every allocation, one after the other
	$(Q)tests/lib/run-unit sweep $(call pick,sweep,$(SWEEP))
fuzz-replay: $(FUZZ) ## run the fuzz corpora without a fuzzer
	$(Q)tests/fuzz/run-replay $(call pick,fuzz,$(FUZZ))
sim: $(SIMULATOR) ## nothing acknowledged is lost: 2,000 simulated worlds (SEED=n for one, with its trace)
	$(Q)tests/sim/run $< $(SEED)
sim-forever: $(SIMULATOR) ## simulated worlds until one breaks
	$(Q)$< -c $$(date +%s)000 1000000000
sim-mutants: $(SIMULATOR) ## does the simulation notice planted bugs? (T=name for one)
	$(Q)COMPILE='$(CC) $(CSTD) $(PKG_CFLAGS) $(OPT.$(V)) $(CFLAGS)' LINK='$(CC) $(OPT.$(V)) $(LINK.$(V)) $(LDFLAGS)' \
		OBJECTS='$(SIM_OBJ)' LIBS='$(LIB) $(PKG_LIBS)' tests/sim/run-mutants $(T)
SECONDS ?= 60
fuzz: ## fuzz one target with clang: make fuzz T=name SECONDS=60
	$(Q)$(MAKE) -s V=fuzz CC=clang build/fuzz-clang/tests/fuzz/fuzz_$(T)
	@mkdir -p build/fuzz-clang/corpus/$(T)
	$(Q)build/fuzz-clang/tests/fuzz/fuzz_$(T) -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix=build/fuzz-clang/ build/fuzz-clang/corpus/$(T) tests/fuzz/corpus/$(T)
cli e2e: all ## suites of tests/<name>/run against the program
	$(Q)BAILIFF=$(CURDIR)/$(B)/bailiff tests/lib/run-dir $@ $(T)
fault: all $(B)/tests/fault/shim.so ## kill it, fill its disk, cut its power, starve it (T=kill for one file)
	$(Q)BAILIFF=$(CURDIR)/$(B)/bailiff SHIM=$(CURDIR)/$(B)/tests/fault/shim.so tests/lib/run-dir $@ $(T)
$(B)/tests/fault/shim.so: tests/fault/shim.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -shared -fPIC $(CFLAGS) -o $@ $< -ldl -lpthread
net: $(B)/tests/bench/echo_server ## the server against foreign clients and attacks (T=grpc for one file)
	$(Q)ECHO_SERVER=$< tests/lib/run-dir net $(T)
bench: all $(BENCH) ## measure; prints each figure beside its limit, asserts nothing
	$(Q)node tests/bench/run.mjs $(B)

lint: ## every static check
	$(Q)MAKE='$(MAKE)' tests/lint/run layers messages purity symbols rules headers fmt-check cppcheck tidy
lint-fast:
	$(Q)NAME=$@ MAKE='$(MAKE)' tests/lint/run layers messages purity symbols rules headers fmt-check
layers rules messages: ## include table; banned calls and words; messages without a golden file
	$(Q)tests/lint/$@
purity: $(patsubst %.c,$(B)/%.o,$(wildcard policy/*.c sidecar/core/*.c)) ## symbols of the pure layers
	$(Q)tests/lint/purity $^
symbols: $(LIB) ## no function of ours hides one of a library
	$(Q)tests/lint/symbols $(LIB) $(PKG_LIBS)
headers: $(HDR:%=$(B)/%.alone) ## each header compiles alone
$(B)/%.h.alone: %.h Makefile | $(GEN:.c=.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(PKG_CFLAGS) $(WARN) -Wno-unused-function -fsyntax-only -include $< -x c /dev/null && touch $@
tidy: $(SRC:%.c=$(B)/%.tidy) $(MAIN:%.c=$(B)/%.tidy) ## clang-tidy, incremental
$(B)/%.tidy: %.c .clang-tidy | $(GEN:.c=.h)
	@mkdir -p $(@D)
	$(Q)clang-tidy --quiet $< -- $(CSTD) $(PKG_CFLAGS) 2>/dev/null && touch $@
cppcheck: ## cppcheck with tests/lint/cppcheck.suppress
	@mkdir -p build/cppcheck
	$(Q)cppcheck --quiet -j2 --std=c11 --enable=warning,performance,portability --error-exitcode=2 --inline-suppr \
		--cppcheck-build-dir=build/cppcheck --suppressions-list=tests/lint/cppcheck.suppress -I. $(SRC) $(MAIN)
# Each version of the formatter has a taste of its own: this tree has that of
# Debian 12's.
FORMATTER = clang-format --version | grep -q ' version 14\.'
FORMATTED = $(SRC) $(MAIN) $(HDR) $(TEST_C)
fmt: ## format every C file (clang-format 14)
	$(Q)$(FORMATTER) || { echo "fmt: needs clang-format 14" >&2; exit 1; }
	$(Q)clang-format -i $(FORMATTED)
fmt-check: ## is every C file formatted? (clang-format 14)
	$(Q)if $(FORMATTER); then clang-format --dry-run -Werror $(FORMATTED); else \
		echo "note: fmt-check: not checked, needs clang-format 14"; echo "fmt-check: 0 passed, 0 failed"; fi
analyze: ## gcc -fanalyzer over base, core, policy and io
	$(Q)$(MAKE) -s V=analyze CC=gcc analyze-objects
analyze-objects: $(filter $(B)/policy/% $(B)/sidecar/base/% $(B)/sidecar/core/% $(B)/sidecar/io/%,$(OBJ))
cov: ## line and branch coverage of policy/ and sidecar/core/
	$(Q)find build/cov -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) -s V=cov CC=gcc unit golden sweep fuzz-replay
	$(Q)tests/lib/coverage build/cov

D = $(DESTDIR)$(PREFIX)
COMPLETIONS := bash-completion/completions/bailiff zsh/site-functions/_bailiff fish/vendor_completions.d/bailiff.fish
install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(D)/bin $(D)/lib/systemd/system $(D)/share/doc/bailiff/docs $(D)/share/doc/bailiff/examples/policies $(D)/share/bash-completion/completions \
		$(D)/share/zsh/site-functions $(D)/share/fish/vendor_completions.d
	install -m 755 $(B)/bailiff $(D)/bin/bailiff
	sed 's|@PREFIX@|$(PREFIX)|' packaging/bailiff.service > $(D)/lib/systemd/system/bailiff.service
	chmod 644 $(D)/lib/systemd/system/bailiff.service
	install -m 644 $(wildcard examples/*.yaml) $(D)/share/doc/bailiff/examples
	install -m 644 $(wildcard examples/policies/*.yaml) $(D)/share/doc/bailiff/examples/policies
	install -m 644 README.md $(D)/share/doc/bailiff
	install -m 644 $(wildcard docs/*.md docs/*.json) $(D)/share/doc/bailiff/docs
	$(B)/bailiff completion bash > $(D)/share/bash-completion/completions/bailiff
	$(B)/bailiff completion zsh > $(D)/share/zsh/site-functions/_bailiff
	$(B)/bailiff completion fish > $(D)/share/fish/vendor_completions.d/bailiff.fish
	chmod 644 $(COMPLETIONS:%=$(D)/share/%)
	for f in $(wildcard docs/man/*.[1-8]); do install -D -m 644 $$f $(D)/share/man/man$${f##*.}/$${f##*/}; done
uninstall: ## remove what install put there
	rm -f $(D)/bin/bailiff $(D)/lib/systemd/system/bailiff.service $(COMPLETIONS:%=$(D)/share/%)
	rm -rf $(D)/share/doc/bailiff
	for f in $(wildcard docs/man/*.[1-8]); do rm -f $(D)/share/man/man$${f##*.}/$${f##*/}; done
dist: ## source archive of the last commit in build/
	@mkdir -p build
	git archive --prefix=bailiff-$(VERSION)/ -o build/bailiff-$(VERSION).tar.gz HEAD
clean: ## remove build/
	rm -rf build
help: ## this list
	@sed -nE 's/^([a-z][a-z -]*):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "%-16s %s\n", $$1, $$2}'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
