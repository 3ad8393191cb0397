# Tama: build, run and test. `make help` lists the targets; every variable below can be overridden.
MODE     ?= release
B        ?= build/$(MODE)
CC       ?= gcc
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wno-unused-parameter
ifeq ($(WERROR),1)
WARN     += -Werror
endif
PKGS     := libmicrohttpd libcurl lua5.4 sqlite3 jansson libsodium
DEFS     := -std=c17 -include tama/banned.h -D_GNU_SOURCE -Iinclude -Itests/unit
# Sanitizers hide ranges from the compiler, whose guesses about truncation are then wrong.
SAN_asan := -Wno-format-truncation -Wno-maybe-uninitialized -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_tsan := -Wno-format-truncation -Wno-maybe-uninitialized -Wno-tsan -O1 -fno-omit-frame-pointer -fsanitize=thread
TESTDEFS := $(if $(filter release,$(MODE)),,-DTAMA_TEST)
# Asked for once: when the packages are not there yet, deps installs them and make starts again.
PKGFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm -lpthread
ALLFLAGS  = $(CFLAGS) $(WARN) $(DEFS) $(TESTDEFS) $(SAN_$(MODE)) $(PKGFLAGS)

SRC      := $(wildcard src/*/*.c)
MAIN     := src/cli/main.c
OBJ      := $(SRC:%.c=$(B)/%.o)
LIBOBJ   := $(filter-out $(B)/$(MAIN:.c=.o),$(OBJ)) $(B)/gen/embedded.o
EMBED    := $(wildcard src/dialects/*/*.lua src/lua/*.lua src/store/*.sql)
UNITOBJ  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/test_*.c))
SIMOBJ   := $(patsubst %.c,$(B)/%.o,$(wildcard tests/simulation/*.c))
FAULTS   := $(if $(filter release,$(MODE)),,$(B)/faults/chaos $(B)/faults/shim.so)
MODELOBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/*.c))
UNIT     := $(UNITOBJ:$(B)/tests/%.o=$(B)/%)
Q        := $(if $(V),,@)

.SECONDARY: $(UNITOBJ) $(SIMOBJ)
.PHONY: all run test unit flags lint fmt asan tsan bench simulate soak model mutants install clean help deps deps-test deps-bench
all: $(B)/tama ## build the gateway (build/release/tama)

run: deps ## install what is missing, build, play with a phone in the terminal (or a script without one)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/run.sh $(B)/tama

test: deps-test ## install what the tests need and run them all; ends with a line of counts
	$(Q)$(MAKE) --no-print-directory MODE=test all unit
	$(Q)python3 tests/run.py --build build/test

unit: $(UNIT) $(FAULTS) $(B)/model/print_machine

flags: # what scripts/lint.sh compiles with
	@echo $(DEFS) -DTAMA_TEST $(PKGFLAGS)

lint: deps-test ## clang-format, clang-tidy, cppcheck, luacheck and the project's own checks
	$(Q)scripts/lint.sh

fmt: ## format the C sources in place
	$(Q)clang-format -i $(wildcard src/*/*.[ch] include/tama/*.h tests/*/*.[ch] bench/*.[ch])

asan tsan: deps-test ## the tests under AddressSanitizer and UBSan, or ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory MODE=$@ all unit
	$(Q)python3 tests/run.py --build build/$@ --mode $@

simulate: deps-test ## the engine in its deterministic virtual world: SEED=n PURCHASES=n
	$(Q)$(MAKE) --no-print-directory MODE=test build/test/unit/test_simulation
	$(Q)build/test/unit/test_simulation $(or $(SEED),$(shell date +%s)) $(or $(PURCHASES),100000)

model: deps-test ## the machine's page, Spin over the send path, the reference model against the program
	$(Q)$(MAKE) --no-print-directory MODE=test build/test/model/print_machine
	$(Q)build/test/model/print_machine markdown > docs/machine.md
	$(Q)build/test/model/print_machine tsv | lua5.4 tests/model/compare.lua
	$(Q)tests/model/check_promela.py build/test/model/print_machine

mutants: deps-test ## seeded bugs, each of which a test must catch
	$(Q)$(MAKE) --no-print-directory MODE=test all unit
	$(Q)tests/mutants/run.py

soak: deps-test ## the gateway under load in a bad network, memory and descriptors watched: MINUTES=n
	$(Q)$(MAKE) --no-print-directory MODE=test all unit
	$(Q)TAMA=build/test/tama python3 tests/soak.py --minutes $(or $(MINUTES),10)

bench: deps-bench ## hops and purchases, side by side with the peers
	$(Q)$(MAKE) --no-print-directory all
	$(Q)bench/run.sh $(B)/tama

install: all ## copy the binary, menus and configuration examples below $(DESTDIR)$(PREFIX)
	install -D -m 755 $(B)/tama $(DESTDIR)$(PREFIX)/bin/tama
	for f in $$(find menus config docs deploy -type f); do install -D -m 644 $$f $(DESTDIR)$(PREFIX)/share/tama/$$f; done

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -nE 's/^([a-z -]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

deps:
	$(Q)scripts/deps.sh run
deps-test:
	$(Q)scripts/deps.sh run test
deps-bench:
	$(Q)scripts/deps.sh run test bench

$(B)/tama: $(B)/$(MAIN:.c=.o) $(LIBOBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

$(B)/gen/embedded.c: $(EMBED) scripts/embed.sh
	@mkdir -p $(@D)
	$(Q)scripts/embed.sh $(EMBED) > $@

$(B)/gen/%.o: $(B)/gen/%.c
	$(Q)$(CC) $(ALLFLAGS) -MMD -MP -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(ALLFLAGS) -MMD -MP -c $< -o $@

$(B)/unit/test_simulation: $(SIMOBJ)
$(B)/unit/test_simulation: LDFLAGS += -Wl,--wrap=attempt_step
$(B)/unit/%: $(B)/tests/unit/%.o $(LIBOBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLFLAGS) $(LDFLAGS) $^ $(LIBS) -lcmocka -o $@

# Tools of the tests, not parts of the program: without sanitizers, and without its own malloc rules.
$(B)/faults/chaos: tests/faults/chaos.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE -O2 -g $(WARN) $< -o $@
$(B)/faults/shim.so: tests/faults/shim.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -D_GNU_SOURCE -O2 -g $(WARN) -fPIC -shared -fno-builtin-malloc $< -o $@

$(B)/model/print_machine: $(MODELOBJ) $(addprefix $(B)/src/core/,purchase.o ledger.o classify.o err.o)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLFLAGS) $(LDFLAGS) $^ $(LIBS) -o $@

-include $(OBJ:.o=.d) $(MODELOBJ:.o=.d) $(SIMOBJ:.o=.d) $(UNITOBJ:.o=.d)
