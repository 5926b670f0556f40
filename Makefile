# Countersign.  "make demo" and "make test" are all a newcomer needs.
CC ?= gcc
PKGS = openssl libxml-2.0 libpq libzmq libsodium libconfuse
BUILD ?= build
# "make run STATE=folder" keeps another deployment there.
STATE ?= var/demo
FUZZ_SECONDS ?= 10
PREFIX ?= /usr/local

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla $(WERROR)
# Debian 12's gcc takes all of these; clang lacks two.
HARDEN = -O2 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -fPIE \
	$(HARDEN_$(COMPILER)) -D_FORTIFY_SOURCE=2
HARDEN_gcc = -fzero-call-used-regs=used-gpr -ftrivial-auto-var-init=zero
COMPILER := $(shell $(CC) --version 2>/dev/null | grep -q clang && echo clang || echo gcc)
LDHARDEN = -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed
ifdef SANITIZE
OPT = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined$(FUZZ) \
	-fno-sanitize-recover=undefined
LDOPT = -fsanitize=address,undefined
else
OPT = $(HARDEN)
LDOPT = $(LDHARDEN)
endif

# Lazily: the packages may not be there before "make deps".
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lfcgi -lpthread
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE -g $(OPT) $(WARN) $(PKG_CFLAGS) \
	$(addprefix -iquote,. common frontend signer cli) $(CFLAGS)

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
COMMON = $(call obj,$(call src,common))
FRONTEND = $(call obj,$(filter-out frontend/main.c,$(call src,frontend)))
SIGNER = $(call obj,$(filter-out signer/main.c,$(call src,signer)))
CLI = $(call obj,$(filter-out cli/main.c,$(call src,cli)))
PROGRAMS = $(BUILD)/countersign-worker $(BUILD)/countersign-signer \
	$(BUILD)/countersign
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*_test.c))

FUZZERS = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/*.c))

all: $(PROGRAMS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/libcommon.a: $(COMMON)
$(BUILD)/libfrontend.a: $(FRONTEND)
$(BUILD)/libsigner.a: $(SIGNER)
$(BUILD)/libcli.a: $(CLI)
%.a:
	rm -f $@ && ar rcs $@ $^

$(BUILD)/countersign-worker: $(BUILD)/frontend/main.o $(BUILD)/libfrontend.a $(BUILD)/libcommon.a
$(BUILD)/countersign-signer: $(BUILD)/signer/main.o $(BUILD)/libsigner.a $(BUILD)/libcommon.a
# doctor reads the other programs' configuration and speaks like a client.
$(BUILD)/countersign: $(BUILD)/cli/main.o $(BUILD)/libcli.a \
	$(addprefix $(BUILD)/frontend/,wconf.o xmlw.o xmlchar.o) \
	$(BUILD)/signer/sconf.o $(BUILD)/libcommon.a
$(PROGRAMS):
	$(CC) $(LDOPT) -o $@ $^ $(LIBS)

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libfrontend.a $(BUILD)/libsigner.a $(BUILD)/libcli.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -o $@ $^ $(LIBS) -lcmocka

# Needs CC=clang SANITIZE=1 FUZZ=,fuzzer-no-link
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libfrontend.a $(BUILD)/libsigner.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -fsanitize=fuzzer -o $@ $^ $(LIBS)

programs-unit: all $(UNIT)
unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

fuzzers: $(FUZZERS)

SUB = $(MAKE) -s --no-print-directory -j$$(nproc)
DEMO = exec env --default-signal=INT BUILD='$(BUILD)' STATE='$(STATE)' deploy/demo.sh

deps:
	@deploy/deps.sh run
deps-test:
	@deploy/deps.sh run test
deps-bench:
	@deploy/deps.sh run test bench

# Installs what is missing, sets everything up, enrolls once, stops.
demo: deps
	@echo "building the programs"
	+@$(SUB) all
	@$(DEMO) demo

# The same left running until Ctrl-C.
run: deps
	@echo "building the programs"
	+@$(SUB) all
	@$(DEMO) run

clean:
	@for s in $(STATE) var/*; do \
	    if [ -e $$s/lock ]; then STATE=$$s deploy/demo.sh clean; fi; done
	rm -rf var build build-*

# Everything that must hold.  The end-to-end tests come last.
test: deps-test
	+@$(SUB) WERROR=-Werror programs-unit load
	+@$(SUB) -j1 WERROR=-Werror unit
	+@$(SUB) CC=clang BUILD=build-clang WERROR=-Werror all
	+@$(SUB) asan
	+@$(SUB) fuzz
	+@$(SUB) asan-e2e
	+@$(SUB) -j1 e2e

asan: deps-test
	+@$(SUB) BUILD=build-asan SANITIZE=1 programs-unit
	+@ASAN_OPTIONS=detect_stack_use_after_return=1 \
	    $(SUB) -j1 BUILD=build-asan SANITIZE=1 unit

# The whole stack with the sanitizers in it.
asan-e2e: deps-test
	+@ASAN_OPTIONS=detect_leaks=0 BUILD=build-asan SANITIZE=1 $(SUB) -j1 e2e

FUZZ_MAKE = $(SUB) BUILD=build-fuzz CC=clang SANITIZE=1 FUZZ=,fuzzer-no-link
fuzz: deps-test
	+@$(FUZZ_MAKE) fuzzers
	@deploy/fuzz.sh build-fuzz/fuzz $(FUZZ_SECONDS)

e2e: deps-test
	@STATE=var/e2e deploy/demo.sh clean
	@mkdir -p var
	/usr/bin/python3 -m pytest -q -rs -p no:cacheprovider tests/e2e $(PYTEST)

load: $(BUILD)/load
$(BUILD)/load: $(BUILD)/tests/bench/load.o
	$(CC) $(LDOPT) -o $@ $^ -lssl -lcrypto -lpthread

# Figures as text, and one JSON object a line in var/bench/results.json;
# BENCH="--memory --signers 2" and the like: see tests/bench/bench.py --help.
bench: deps-test
	+@$(SUB) all load
	/usr/bin/python3 tests/bench/bench.py $(BENCH)

# Not the analyzer: it does not see that err_set is always -1.
TIDY = -*,clang-diagnostic-*,bugprone-*,cert-*,-cert-err3*,$(TIDY_NOT)
TIDY_NOT = -bugprone-easily-swappable-parameters,-bugprone-sizeof-expression,$\
	-bugprone-implicit-widening-of-multiplication-result,$\
	-bugprone-narrowing-conversions,-bugprone-macro-parentheses
lint: deps-test
	clang-tidy --quiet --checks=$(TIDY) --warnings-as-errors='*' \
	    $(foreach d,common frontend signer cli,$(call src,$(d))) \
	    -- $(filter-out -f%,$(CFLAGS_ALL))
	cppcheck --quiet --std=c11 --enable=warning,portability,performance \
	    --suppress=uninitvar --error-exitcode=1 -Icommon -Ifrontend -Isigner \
	    -Icli common frontend signer cli
	mandoc -T lint -W warning man/*

SHARE = $(DESTDIR)$(PREFIX)/share/countersign
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(SHARE)/sql \
	    $(SHARE)/nginx $(SHARE)/web $(DESTDIR)$(PREFIX)/lib/systemd/system
	install $(BUILD)/countersign $(DESTDIR)$(PREFIX)/bin
	install $(BUILD)/countersign-worker $(BUILD)/countersign-signer \
	    $(DESTDIR)$(PREFIX)/sbin
	for n in 1 5 8; do \
	    install -d $(DESTDIR)$(PREFIX)/share/man/man$$n && \
	    install -m 644 man/*.$$n $(DESTDIR)$(PREFIX)/share/man/man$$n || \
	    exit 1; done
	install -m 644 sql/*.sql $(SHARE)/sql
	install -m 644 nginx/* $(SHARE)/nginx
	install -m 644 web/* $(SHARE)/web
	install -m 644 deploy/policy.conf.in $(SHARE)
	install deploy/site.sh $(SHARE)
	for u in deploy/systemd/*; do \
	    sed 's|/usr/local/|$(PREFIX)/|g' $$u \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} || exit 1; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all unit programs-unit fuzzers deps deps-test deps-bench demo run \
	clean test asan asan-e2e fuzz e2e load bench lint install
.SECONDARY:
