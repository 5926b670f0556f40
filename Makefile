# Countersign.  "make demo" and "make test" are all a newcomer needs.
CC ?= gcc
PKGS = openssl libxml-2.0 libpq libzmq libsodium libconfuse
BUILD ?= build

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
OPT = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
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
	-I. -Icommon -Ifrontend -Isigner -Icli $(CFLAGS)

src = $(wildcard $(1)/*.c)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
COMMON = $(call obj,$(call src,common))
FRONTEND = $(call obj,$(filter-out frontend/main.c,$(call src,frontend)))
SIGNER = $(call obj,$(filter-out signer/main.c,$(call src,signer)))
CLI = $(call obj,$(filter-out cli/main.c,$(call src,cli)))
PROGRAMS = $(BUILD)/countersign-worker $(BUILD)/countersign-signer \
	$(BUILD)/countersign
UNIT = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*_test.c))

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
$(BUILD)/countersign: $(BUILD)/cli/main.o $(BUILD)/libcli.a $(BUILD)/libcommon.a
$(PROGRAMS):
	$(CC) $(LDOPT) -o $@ $^ $(LIBS)

$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/libfrontend.a $(BUILD)/libsigner.a $(BUILD)/libcli.a $(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(LDOPT) -o $@ $^ $(LIBS) -lcmocka

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.PHONY: all unit
.SECONDARY:
