# Countersign.  "make demo" and "make test" are all a newcomer needs.
CC ?= gcc
PKGS = openssl gmp libxml-2.0 libpq libzmq libsodium libconfuse
# The worker's and doctor's, and below libpq anyway.
KRB5 = krb5-gssapi krb5
BUILD ?= build
# Compilers that remember, where ccache is installed.
export PATH := /usr/lib/ccache:$(PATH)
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
# "make run STATE=folder" keeps another deployment there.
STATE ?= var/demo
FUZZ_SECONDS ?= 60
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
ifeq ($(SANITIZE),thread)
OPT = -O1 -fno-omit-frame-pointer -fsanitize=thread
LDOPT = -fsanitize=thread
else ifdef SANITIZE
OPT = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined$(FUZZ) \
	-fno-sanitize-recover=undefined
LDOPT = -fsanitize=address,undefined
else
OPT = $(HARDEN)
LDOPT = $(LDHARDEN)
endif

# Lazily: the packages may not be there before "make deps".
# Of p11-kit the header of PKCS#11 alone.
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) $(KRB5) p11-kit-1 2>/dev/null)
LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lfcgi -lpthread
KRB5_LIBS = $(shell pkg-config --libs $(KRB5) 2>/dev/null)
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

# The folder is newer, too, when a file has left it.
$(BUILD)/libcommon.a: $(COMMON) common
$(BUILD)/libfrontend.a: $(FRONTEND) frontend
$(BUILD)/libsigner.a: $(SIGNER) signer
$(BUILD)/libcli.a: $(CLI) cli
%.a:
	rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(BUILD)/countersign-worker: $(BUILD)/frontend/main.o $(BUILD)/libfrontend.a $(BUILD)/libcommon.a
$(BUILD)/countersign-signer: $(BUILD)/signer/main.o $(BUILD)/libsigner.a $(BUILD)/libcommon.a
# doctor reads the other programs' configuration and speaks like a client.
$(BUILD)/countersign: $(BUILD)/cli/main.o $(BUILD)/libcli.a \
	$(addprefix $(BUILD)/frontend/,wconf.o xmlw.o xmlchar.o) \
	$(BUILD)/signer/sconf.o $(BUILD)/libcommon.a
$(BUILD)/countersign: LIBS += -lldap -llber $(KRB5_LIBS)
$(BUILD)/countersign-worker: LIBS += $(KRB5_LIBS)
$(PROGRAMS):
	$(CC) $(LDOPT) -o $@ $^ $(LIBS)

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libfrontend.a $(BUILD)/libsigner.a $(BUILD)/libcli.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -o $@ $^ $(LIBS) $(KRB5_LIBS) -lcmocka

# A PKCS#11 module with faults, for the tests.
$(BUILD)/fault.so: tests/p11/fault.c
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -g -O2 -fPIC -shared $(WARN) $(PKG_CFLAGS) \
	    -o $@ $<
p11-fault: $(BUILD)/fault.so

# Needs CC=clang SANITIZE=1 FUZZ=,fuzzer-no-link
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/libfrontend.a $(BUILD)/libsigner.a $(BUILD)/libcli.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -fsanitize=fuzzer -o $@ $^ $(LIBS)

programs-unit: all $(UNIT) p11-fault
# Each has places of its own.
RUN_UNIT = $(UNIT:=.run)
unit: $(RUN_UNIT)
$(RUN_UNIT): %.run: %
	@$<

fuzzers: $(FUZZERS)

SUB = $(MAKE) -s --no-print-directory -j$$(nproc)
DEMO = exec env --default-signal=INT BUILD='$(BUILD)' STATE='$(STATE)' deploy/demo.sh

deps:
	@deploy/deps.sh run
deps-test:
	@deploy/deps.sh run test
deps-bench:
	@deploy/deps.sh run test bench
deps-deb:
	@deploy/deps.sh run deb

# Installs what is missing, sets everything up, enrolls once, stops.
demo: deps
	@echo "building the programs"
	+@$(SUB) all
	@$(DEMO) demo

# One round over an air gap: docs/airgap.md.
demo-airgap: deps
	@echo "building the programs"
	+@$(SUB) all
	@exec env --default-signal=INT BUILD='$(BUILD)' STATE=var/airgap \
	    deploy/demo.sh airgap

# The same left running until Ctrl-C.
run: deps
	@echo "building the programs"
	+@$(SUB) all
	@$(DEMO) run

clean:
	@for s in $(STATE) var/*; do \
	    if [ -e $$s/lock ]; then STATE=$$s deploy/demo.sh clean; fi; done
	rm -rf var build build-*

# Everything that must hold.  The end-to-end tests come last: all with the
# sanitizers in the programs, some again as they are shipped, and those that
# cannot run with a sanitizer (a moved clock, the units).  Crashes of what is
# shipped are the faults'.  "make e2e" runs all of them.
test: deps-test
	+@$(SUB) test-collect
	+@$(SUB) WERROR=-Werror programs-unit load
	+@$(SUB) test-unit test-clang
	+@$(SUB) asan fuzz-programs
	+@$(SUB) FUZZ_SECONDS=5 fuzz
	+@$(SUB) test-long
# A test that cannot be read is known before the long ones run, a benchmark
# before somebody wants it.
test-collect:
	@! grep -nE '^ *(from|import) test_' tests/*/*.py || \
	    { echo "a helper of several files: a module of its own"; exit 1; }
	@! pyflakes3 tests | grep 'undefined name'
	@out=$$($(E2E) --collect-only tests/*/ 2>&1) || \
	    { echo "$$out" | grep -v ::; exit 1; }
	@cd tests/bench && /usr/bin/python3 -B -c \
	    'import airgap, bench, growth, logon, peers, polls'
test-unit:
	+@$(SUB) -O WERROR=-Werror unit
test-clang:
	+@$(SUB) CC=clang BUILD=build-clang WERROR=-Werror all
test-long:
	+@$(call SIDE_BY_SIDE,$(TRACKS))
test-shipped:
	+@$(SUB) -j1 e2e PYTEST='-k "life or enroll or units or years or packages"'

asan: deps-test
	+@$(SUB) BUILD=build-asan SANITIZE=1 programs-unit
	+@ASAN_OPTIONS=detect_stack_use_after_return=1 \
	    $(SUB) -O BUILD=build-asan SANITIZE=1 unit

# Tests wait more than they work: three at a time, the longest first, and each
# with ports of its own.  A test that fails is told at once, what each track
# says when it has ended, and what the red ones say comes last.
SIDE_BY_SIDE = mkdir -p var; rm -f var/*.red; \
	$(SUB) -j3 $(addsuffix .track,$(1)) && ! cat var/*.red 2>/dev/null
%.track:
	+@n=10000; for t in $(TRACKS); do [ $$t = $* ] && break; \
	    n=$$((n + 2000)); done; \
	if PORTS=$$n-$$((n + 1999)) $(SUB) $* >var/$*.out; then \
	    cat var/$*.out; else mv var/$*.out var/$*.red; fi

# The whole stack with the sanitizers in it, in parts that take about as long,
# each with stacks of its own.
PART_1 = $(wildcard tests/e2e/test_[d-gi]*.py tests/e2e/test_ht*.py)
PART_2 = $(wildcard tests/e2e/test_a[a-o]*.py tests/e2e/test_hi*.py)
PART_3 = $(wildcard tests/e2e/test_r*.py tests/e2e/test_a[pr]*.py)
PART_4 = $(wildcard tests/e2e/test_[jkl]*.py) tests/e2e/test_ceremony.py
PART_5 = $(filter-out $(PART_4),$\
	$(wildcard tests/e2e/test_a[s-z]*.py tests/e2e/test_[bc]*.py))
PART_6 = $(filter-out $(foreach n,1 2 3 4 5,$(PART_$n)),$\
	$(wildcard tests/e2e/test_*.py))
ASAN_E2E = $(addprefix asan-e2e-,1 2 3 4 5 6)
TRACKS = $(ASAN_E2E) faults test-shipped
asan-e2e: deps-test
	+@$(SUB) BUILD=build-asan SANITIZE=1 all p11-fault
	+@$(call SIDE_BY_SIDE,$(ASAN_E2E))
$(ASAN_E2E): asan-e2e-%:
	@STATE=var/e2e-$* deploy/demo.sh clean
	ASAN_OPTIONS=detect_leaks=0 BUILD=build-asan SANITIZE=1 \
	    CS_TEST_STATE='$(CURDIR)/var/e2e-$*' $(E2E) $(PART_$*) $(PYTEST)

# Races between threads; libraries are not looked into.  Not in "make test".
tsan-e2e: deps-test
	@rm -f var/tsan.*
	+@TSAN_OPTIONS="log_path=$(CURDIR)/var/tsan exitcode=0 \
	    ignore_noninstrumented_modules=1" CC=clang BUILD=build-tsan \
	    SANITIZE=thread $(SUB) -j1 e2e
	@! cat var/tsan.* 2>/dev/null

FUZZ_MAKE = $(SUB) BUILD=build-fuzz CC=clang SANITIZE=1 FUZZ=,fuzzer-no-link
fuzz-programs:
	+@$(FUZZ_MAKE) fuzzers
fuzz: deps-test
	+@$(SUB) fuzz-programs
	@deploy/fuzz.sh build-fuzz/fuzz $(FUZZ_SECONDS)

# More slow clients: make e2e SLOW=2000 PYTEST="-s -k slow_clients".
# More numbers of requests: make e2e NUMBERS=10000 PYTEST="-k numbers".
E2E = /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider
e2e: deps-test p11-fault
	@STATE=var/e2e deploy/demo.sh clean
	@mkdir -p var
	$(E2E) tests/e2e $(PYTEST)

# A signer that can be told where to die; see common/failpoint.h.
FAULTS = $(SUB) BUILD=build-faults CFLAGS='$(CFLAGS) -DFAILPOINTS' \
	build-faults/countersign-signer
# A short round, and whether its judge would have noticed.
faults: deps-test
	+@$(SUB) all p11-fault
	+@$(FAULTS)
	@mkdir -p var
	/usr/bin/python3 -m pytest -q -rs -p no:cacheprovider tests/faults $(PYTEST)

# A long one: make test-faults SEED=7 MINUTES=30.
test-faults: deps-test
	+@$(SUB) all p11-fault
	+@$(FAULTS)
	@mkdir -p var
	@SEED='$(SEED)' MINUTES='$(MINUTES)' /usr/bin/python3 tests/faults/faults.py

# Hosts that fail, in network namespaces: needs root, some minutes.
test-ha: deps-test
	@deploy/deps.sh ha
	+@$(SUB) all
	@mkdir -p var
	/usr/bin/python3 -m pytest -q -rsP -p no:cacheprovider tests/ha $(PYTEST)

# Members of a domain of Active Directory, whose controller is Samba's, in
# namespaces of their own: needs root, two minutes.
test-ad: deps-test
	@deploy/deps.sh ad
	+@$(SUB) all
	@mkdir -p var
	exec unshare --net --mount --pid --fork --mount-proc --kill-child \
	    /usr/bin/python3 -m pytest -q -rsP -p no:cacheprovider tests/ad \
	    $(PYTEST)

# 2,000 certificates, lists of 0, 1 and 100,000 entries, five validators.
test-validators: deps-test
	+@$(SUB) all
	@mkdir -p var
	VALIDATE=$(or $(VALIDATE),2000) /usr/bin/python3 -m pytest -q -s \
	    -p no:cacheprovider tests/e2e/test_validators.py

# Random changes in ledgers and tables, one at a time: each must be found.
test-ledger: deps-test
	+@$(SUB) all
	@mkdir -p var
	EDITS=$(or $(EDITS),1000) SEED=$(or $(SEED),1) /usr/bin/python3 -m pytest -q \
	    -p no:cacheprovider tests/e2e/test_ledger.py -k random_edits

# The load generator, and what it is compared with.
load: $(addprefix $(BUILD)/,load hello fill slowsync.so)
$(BUILD)/load: $(addprefix $(BUILD)/tests/bench/,load.o samples.o)
	$(CC) $(LDOPT) -o $@ $^ -lssl -lcrypto -lpthread
$(BUILD)/hello: $(BUILD)/tests/bench/hello.o
	$(CC) $(LDOPT) -o $@ $^ -lfcgi -lpthread
$(BUILD)/fill: $(BUILD)/tests/bench/fill.o
	$(CC) $(LDOPT) -o $@ $^ -lpq -lcrypto
$(BUILD)/slowsync.so: tests/bench/slowsync.c
	$(CC) -std=c17 -D_GNU_SOURCE -O2 $(WARN) -shared -fPIC -o $@ $<

# Figures as text, and one JSON object a line in var/bench/results.json;
# BENCH="--memory --signers 2" and the like: see tests/bench/bench.py --help.
bench: deps-test
	+@$(SUB) all load
	/usr/bin/python3 tests/bench/bench.py $(BENCH)
# Other CAs on this machine in the same run.
bench-peers: deps-bench deps-test
	+@$(SUB) all load
	/usr/bin/python3 tests/bench/peers.py $(BENCH)

# With 10,000,000 certificates (30 GB below var/bench).
bench-growth: deps-test
	+@$(SUB) all load
	/usr/bin/python3 tests/bench/growth.py $(BENCH)
# Does the time of a refusal tell who exists?  100,000 logins.
bench-logon: deps-test
	+@$(SUB) all
	/usr/bin/python3 tests/bench/logon.py $(BENCH)
# Does the time of an answer tell which requests exist?  100,000 polls.
bench-numbers: deps-test
	+@$(SUB) all
	/usr/bin/python3 tests/bench/polls.py $(BENCH)

# A revocation list of 1,000,000 entries against hashing and signing as many
# bytes; fails when it takes more than three times that, or 2 MiB.
bench-crl: deps-test
	+@$(SUB) $(BUILD)/unit/crl_test
	CRL_ENTRIES=1000000 $(BUILD)/unit/crl_test

# One round over an air gap with 10,000 requests; 1 when it takes too long.
bench-airgap: deps-test
	+@$(SUB) all load
	/usr/bin/python3 tests/bench/airgap.py $(BENCH)

# The schema in one piece, each function in its last form.
schema: deps-test
	@mkdir -p var
	@cd tests/e2e && /usr/bin/python3 -B -c \
	    'import database; database.write_schema("../../var/schema.sql")'
	@echo var/schema.sql

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
UNITS = $(PREFIX)/lib/systemd/system
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(SHARE)/sql \
	    $(SHARE)/nginx $(SHARE)/web $(DESTDIR)$(UNITS)
	install $(BUILD)/countersign $(DESTDIR)$(PREFIX)/bin
	install $(BUILD)/countersign-worker $(BUILD)/countersign-signer \
	    $(DESTDIR)$(PREFIX)/sbin
	for n in 1 5 8; do \
	    install -d $(DESTDIR)$(PREFIX)/share/man/man$$n && \
	    install -m 644 man/*.$$n $(DESTDIR)$(PREFIX)/share/man/man$$n || \
	    exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/countersign
	install -m 644 README.md docs/*.md $(DESTDIR)$(PREFIX)/share/doc/countersign
	install -m 644 sql/*.sql $(SHARE)/sql
	install -m 644 nginx/* $(SHARE)/nginx
	install -m 644 web/* $(SHARE)/web
	install -m 644 deploy/policy.conf.in deploy/monitoring/* deploy/ha/* \
	    $(SHARE)
	install deploy/site.sh $(SHARE)
	for u in deploy/systemd/*; do \
	    sed 's|/usr/local/|$(PREFIX)/|g' $$u \
	    >$(DESTDIR)$(UNITS)/$${u##*/} || exit 1; done

# Packages, for hosts without a compiler.
deb: deps-deb
	+@$(SUB) all
	@deploy/deb.sh '$(BUILD)' '$(BUILD)/deb'

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
.PHONY: all unit $(RUN_UNIT) programs-unit p11-fault fuzzers deps deps-test \
	deps-bench deps-deb demo demo-airgap run clean test test-collect test-unit \
	test-clang test-long test-shipped asan asan-e2e $(ASAN_E2E) tsan-e2e \
	fuzz fuzz-programs e2e faults test-faults test-ha test-ad test-ledger test-validators load bench \
	bench-peers bench-growth bench-logon bench-numbers bench-airgap \
	bench-crl schema lint install deb
.SECONDARY:
