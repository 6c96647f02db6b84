# qagent: one executable.  `make help` lists the targets.
#
# Rooms are folders; a room's sources are found by wildcard.  Objects go to
# build/<variant>/.  V=1 shows commands.  CUDA=0 forces the GPU code off.

CC      ?= cc
VARIANT ?= release
B       := build/$(VARIANT)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
PREFIX  ?= /usr/local
PKG_CONFIG ?= pkg-config

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
$(shell mkdir -p build; echo '$(VERSION)' | cmp -s - build/version || echo '$(VERSION)' > build/version)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wvla -Wundef -Wwrite-strings -Wformat=2 -Wdouble-promotion -Wimplicit-fallthrough \
        -Wswitch-enum -fno-common
BASEFLAGS := -std=c11 -D_GNU_SOURCE -I. -include engine/base/banned.h -MMD -MP -pthread \
             -fstack-protector-strong
OPT_release := -O2 -g
OPT_asan    := -O1 -g -fsanitize=address -fno-omit-frame-pointer -DQA_DEBUG
OPT_ubsan   := -O1 -g -fsanitize=undefined -fno-sanitize-recover=all -DQA_DEBUG
OPT_tsan    := -O2 -g -fsanitize=thread -DQA_DEBUG
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
               -fno-omit-frame-pointer -DQA_DEBUG
LD_asan     := -fsanitize=address
LD_ubsan    := -fsanitize=undefined
LD_tsan     := -fsanitize=thread
LD_fuzz     := -fsanitize=fuzzer,address,undefined
WERROR      := $(if $(filter 1,$(STRICT)),-Werror)
CFLAGS      ?=
ALLFLAGS     = $(BASEFLAGS) $(OPT_$(VARIANT)) $(WARN) $(WERROR) $(CFLAGS)
# Kernels are arithmetic: -Wconversion would drown them, contraction is wanted.
KERNELFLAGS := $(if $(filter fuzz,$(VARIANT)),,-O3) -ffp-contract=fast -fno-math-errno

LDLIBS      := -lseccomp -ljansson -ledit -lutf8proc -lz -lcrypto -lcurl -lm

SRC_base    := $(wildcard engine/base/*.c)
SRC_kernels := $(wildcard engine/ref/*.c engine/cpu/*.c)
SRC_engine  := $(wildcard engine/*.c) $(SRC_base) $(SRC_kernels)
SRC_sandbox := $(wildcard sandbox/*.c)
SRC_agent   := $(wildcard agent/*.c)
SRC_human   := $(wildcard humaneval/*.c)
SRC_cmd     := $(wildcard cmd/*.c cmd/repl/*.c)
ASM         := $(wildcard prompts/*.S sandbox/*.S humaneval/*.S engine/tiny/*.S)

obj = $(patsubst %.S,$(B)/%.o,$(patsubst %.c,$(B)/%.o,$(1)))
OBJ_engine  := $(call obj,$(SRC_engine))
OBJ_rooms   := $(OBJ_engine) $(call obj,$(SRC_sandbox) $(SRC_agent) $(SRC_human) $(ASM))
OBJ_all     := $(OBJ_rooms) $(call obj,$(SRC_cmd))
OBJ_kernels := $(call obj,$(SRC_kernels))

.DEFAULT_GOAL := all
.PHONY: all help test test-programs check lint asan ubsan tsan demo install clean format bench deps \
        fuzz fuzz-smoke tiny-model
.SECONDARY:

all: bin/qagent ## build bin/qagent

bin/qagent: $(B)/qagent
	$(Q)mkdir -p bin && cp $< $@.new && mv $@.new $@ # a running one keeps its file

$(B)/qagent: $(OBJ_all)
	@echo "LD   $@"
	$(Q)$(CC) -pthread $(LD_$(VARIANT)) -o $@ $(OBJ_all) $(LDLIBS)

$(OBJ_kernels): EXTRA := $(KERNELFLAGS)
$(filter-out $(OBJ_kernels),$(OBJ_all)): EXTRA += -Wconversion
# One instruction set per file, by suffix; nothing else is compiled with more than
# the baseline, so no instruction can run before the processor was asked.
ISA_avx2   := -mavx2 -mfma -mf16c
ISA_avx512 := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
ifeq ($(shell uname -m),x86_64)
$(filter %_avx2.o,$(OBJ_kernels)): EXTRA += $(ISA_avx2)
$(filter %_avx512.o,$(OBJ_kernels)): EXTRA += $(ISA_avx512)
endif

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC   $<"
	$(Q)$(CC) $(ALLFLAGS) $(EXTRA) -c -o $@ $<

$(B)/%.o: %.S
	@mkdir -p $(@D)
	@echo "AS   $<"
	$(Q)$(CC) -I. -MMD -MP -c -o $@ $<

$(B)/cmd/opt.o: build/version
$(B)/cmd/opt.o: EXTRA += -DQA_VERSION='"$(VERSION)"'
$(B)/prompts/embed.o: $(wildcard prompts/*.txt)
$(B)/sandbox/embed.o: sandbox/driver.py
$(B)/humaneval/embed.o: $(wildcard humaneval/*.jsonl humaneval/*.py humaneval/*.html)
$(B)/engine/tiny/embed.o: $(wildcard engine/tiny/*.gguf)

# ---- tests: every tests/<room>/test_*.c is one program over all rooms but cmd
TEST_SRC := $(wildcard tests/engine/test_*.c tests/sandbox/test_*.c tests/humaneval/test_*.c tests/cmd/test_*.c)
TEST_BIN := $(patsubst tests/%.c,$(B)/tests/%,$(TEST_SRC))
# The agent's tests play tapes: fakes stand in for the engine and the jail.
FAKE_SRC := $(wildcard tests/agent/test_*.c)
FAKE_BIN := $(patsubst tests/%.c,$(B)/tests/%,$(FAKE_SRC))
OBJ_fake := $(call obj,tests/fake/engine.c tests/fake/sandbox.c $(SRC_base) $(SRC_agent) $(filter prompts/%,$(ASM)))
# The commands of an agent over a tape and the real jail: tests/repl, docs/bench.
TAPED    := $(B)/tests/fake/taped
OBJ_taped := $(call obj,tests/fake/taped.c tests/fake/engine.c engine/kv.c $(SRC_base) $(SRC_agent)) \
             $(B)/cmd.a $(call obj,$(SRC_sandbox) $(ASM))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst tests/%.c,$(B)/tests/%,$(FUZZ_SRC))

$(call obj,$(TEST_SRC) $(FAKE_SRC) $(FUZZ_SRC) $(wildcard tests/fake/*.c) tests/fuzz/replay.c): EXTRA := -Wno-unused-parameter

$(TEST_BIN): $(B)/tests/%: $(B)/tests/%.o $(OBJ_rooms)
	@echo "LD   $@"
	$(Q)$(CC) -pthread $(LD_$(VARIANT)) -o $@ $^ -lcmocka $(LDLIBS)

$(FAKE_BIN): $(B)/tests/%: $(B)/tests/%.o $(OBJ_fake)
	@echo "LD   $@"
	$(Q)$(CC) -pthread $(LD_$(VARIANT)) -o $@ $^ -lcmocka $(LDLIBS)

# The commands without main(), of which a target takes what it tests.
$(B)/cmd.a: $(filter-out $(B)/cmd/main.o,$(call obj,$(SRC_cmd)))
	@echo "AR   $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(TAPED): $(OBJ_taped)
	@echo "LD   $@"
	$(Q)$(CC) -pthread $(LD_$(VARIANT)) -o $@ $^ $(LDLIBS)

# A fuzz target linked to a main that replays its checked-in corpus; in the variant
# `fuzz` libFuzzer brings the main.
$(FUZZ_BIN): $(B)/tests/%: $(B)/tests/%.o $(if $(filter fuzz,$(VARIANT)),,$(B)/tests/fuzz/replay.o) $(B)/cmd.a $(OBJ_rooms)
	@echo "LD   $@"
	$(Q)$(CC) -pthread $(LD_$(VARIANT)) -o $@ $^ $(LDLIBS)

test: ## install what tests need, run all tests; ends with 'N passed, N failed'
	@.ci/deps test
	@$(MAKE) --no-print-directory all test-programs
	@tests/run.sh $(B)

test-programs: $(TEST_BIN) $(FAKE_BIN) $(FUZZ_BIN) $(TAPED)

asan: ## all tests under the address sanitizer
	@$(MAKE) --no-print-directory VARIANT=asan test-programs build/asan/qagent
	@QAGENT=build/asan/qagent tests/run.sh build/asan

ubsan: ## all tests under the undefined-behaviour sanitizer
	@$(MAKE) --no-print-directory VARIANT=ubsan test-programs build/ubsan/qagent
	@QAGENT=build/ubsan/qagent tests/run.sh build/ubsan

# What computes on several threads at once, or is called from them.
TSAN_TESTS := engine/test_pool engine/test_sched

tsan: ## the tests of threads under the thread sanitizer
	@$(MAKE) --no-print-directory VARIANT=tsan $(TSAN_TESTS:%=build/tsan/tests/%)
	@for t in $(TSAN_TESTS); do TSAN_OPTIONS=halt_on_error=1 build/tsan/tests/$$t || exit 1; done

lint: ## format, include directions, headers alone, sizes, getenv
	@tests/lint/lint.sh

check: ## the gate: lint, tests with warnings as errors, asan, ubsan
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory STRICT=1 test
	@$(MAKE) --no-print-directory asan
	@$(MAKE) --no-print-directory ubsan

fuzz: ## fuzz one parser with clang: make fuzz T=gguf SECONDS=60
	@tests/fuzz/fuzz.sh "$(T)" "$(or $(SECONDS),60)"

fuzz-smoke: ## every fuzz target for 30 seconds
	@for t in $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC)); do tests/fuzz/fuzz.sh $$t 30 || exit 1; done

format: ## clang-format in place
	clang-format -i $$(git ls-files -co --exclude-standard '*.c' '*.h')

deps: ## install what the build needs (apt; root or sudo)
	@.ci/deps build

demo: ## install what is missing, build, solve docs/examples on the embedded model
	@.ci/deps build
	@$(MAKE) --no-print-directory all
	@docs/examples/demo.sh bin/qagent

bench: all ## prefill and decode speed against this machine's limits
	bin/qagent bench

install: all ## install to $(PREFIX)/bin
	install -D -m 755 bin/qagent $(DESTDIR)$(PREFIX)/bin/qagent

tiny-model: ## make the embedded model from nothing: corpus, training, export
	engine/tiny/make.sh

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

clean: ## remove what was built
	rm -rf build/release build/asan build/ubsan build/tsan bin

-include $(OBJ_all:.o=.d) $(wildcard $(B)/tests/*/*.d)
