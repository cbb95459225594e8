# llama2: Llama 2 inside PostgreSQL.  "make help" lists the targets.

EXTENSION = llama2
EXTVERSION = 1.0
MODULE_big = llama2

PG_CONFIG ?= pg_config
export PG_CONFIG

# "make WERROR=" builds with a compiler that warns of more than ours
WERROR = -Werror

all: ## build llama2.so, llama2_engine.so and llama2-import
install: ## install them, the SQL and the bundled model where pg_config says
installcheck: ## pg_regress against the running server that libpq finds
clean: ## remove what was built

help: ## print this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done

.PHONY: all help

# --- the engine: plain C, no PostgreSQL header ---------------------------------
# One set of objects serves llama2_engine.so and the test programs; VARIANT
# names their folder, so that sanitizer builds do not mix with the others.

VARIANT ?= release
BUILD = build/$(VARIANT)

ifeq ($(VARIANT),asan)
VARIANT_CFLAGS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# the kernels' inlined templates take the sanitizers minutes at more than this
KERNEL_O = -O1
else
# where an inlined template's variables are would take the compiler as long as all the rest
KERNEL_O = -O3 -g1
endif

TEXT_SRCS = $(sort $(wildcard src/text/*.c src/grammar/*.c))
ENGINE_SRCS = $(sort $(wildcard src/engine/*.c src/engine/kernels/*.c))
TEXT_OBJS = $(patsubst src/%.c,$(BUILD)/%.o,$(TEXT_SRCS))
ENGINE_OBJS = $(patsubst src/%.c,$(BUILD)/%.o,$(ENGINE_SRCS))

# -ffp-contract=off: the kernels' results must not depend on what the compiler
# chose to fuse.  The baseline processor is assumed everywhere but in the files
# of one kernel set, which run only where the processor has what they need.
WARNINGS = -Wall -Wextra $(WERROR) -Wmissing-prototypes -Wpointer-arith -Wvla
ENGINE_CFLAGS = -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -ffp-contract=off \
	-fno-math-errno -fopenmp $(WARNINGS) -Isrc $(VARIANT_CFLAGS)
ENGINE_LIBS = -lopenblas -lm

$(BUILD)/engine/block.o $(BUILD)/engine/matrix.o: OPTIMIZE = $(KERNEL_O)
$(BUILD)/engine/kernels/%.o: OPTIMIZE = $(KERNEL_O)

# On other machines these files are empty.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
AVX2 = -mavx2 -mfma -mf16c
AVX512 = $(AVX2) -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512
$(BUILD)/engine/kernels/avx2.o $(BUILD)/engine/kernels/avx2_%.o $(BUILD)/engine/kernels/avxvnni_%.o: OPTIMIZE = $(KERNEL_O) $(AVX2)
$(BUILD)/engine/kernels/avxvnni_%.o: OPTIMIZE += -mavxvnni
$(BUILD)/engine/kernels/avx512.o $(BUILD)/engine/kernels/avx512_%.o $(BUILD)/engine/kernels/amx_%.o: OPTIMIZE = $(KERNEL_O) $(AVX512)
$(BUILD)/engine/kernels/avx512_bf16.o: OPTIMIZE += -mavx512bf16
$(BUILD)/engine/kernels/amx_%.o: OPTIMIZE += -mamx-tile -mamx-int8
$(BUILD)/engine/kernels/amx_prompt.o $(BUILD)/engine/kernels/amx_prompt_round.o: OPTIMIZE += -mamx-bf16 -mavx512vbmi -mavx512bf16 -mavx512fp16
endif

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ENGINE_CFLAGS) $(OPTIMIZE) -MMD -MP -c $< -o $@

$(BUILD)/libllm.a: $(TEXT_OBJS) $(ENGINE_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

# --- the command llama2-import ---------------------------------------------------
# Its parts are a library too, for the tests and fuzzers of its readers.

IMPORT_MAIN = $(BUILD)/import/import_main.o
IMPORT_OBJS = $(filter-out $(IMPORT_MAIN),$(patsubst src/%.c,$(BUILD)/%.o,$(sort $(wildcard src/import/*.c))))
IMPORT_LIBS = -lzip -ljansson -lprotobuf-c
GENERATED = $(BUILD)/generated
PROTOBUF = import/sentencepiece_model

$(IMPORT_OBJS) $(IMPORT_MAIN): ENGINE_CFLAGS += -I$(GENERATED)
# vectors wider than the processor's are passed to inlined functions only
$(BUILD)/import/quantize_%.o: OPTIMIZE = $(KERNEL_O) -Wno-psabi
$(addprefix $(BUILD)/import/,checkpoint.o source.o import_model.o): OPTIMIZE = $(KERNEL_O)
$(BUILD)/import/quantize_avx2.o: OPTIMIZE = $(KERNEL_O) $(if $(AVX2),-mavx2)

$(GENERATED)/$(PROTOBUF).pb-c.c: src/$(PROTOBUF).proto
	@mkdir -p $(@D)
	protoc-c --proto_path=src --c_out=$(GENERATED) $(PROTOBUF).proto

$(GENERATED)/$(PROTOBUF).pb-c.o: $(GENERATED)/$(PROTOBUF).pb-c.c
	$(CC) -O2 -g -I$(GENERATED) $(VARIANT_CFLAGS) -c $< -o $@

$(BUILD)/import/vocabulary_sentencepiece.o: $(GENERATED)/$(PROTOBUF).pb-c.c

$(BUILD)/libimport.a: $(IMPORT_OBJS) $(GENERATED)/$(PROTOBUF).pb-c.o
	@rm -f $@
	$(AR) rcs $@ $^

# --- the two libraries, and what is installed with them ------------------------
# llama2.so is what shared_preload_libraries names: no OpenMP, no BLAS.
# llama2_engine.so is loaded by the model worker alone, into a process that has
# llama2.so already, and may leave symbols undefined that are found there.

SERVER_OBJS = $(patsubst src/%.c,$(BUILD)/%.o,$(sort $(wildcard src/server/*.c src/shared/*.c)))
WORKER_OBJS = $(patsubst src/%.c,$(BUILD)/%.o,$(sort $(wildcard src/worker/*.c)))
# of the engine what reads a file's header and tells what its model takes
PLAN_OBJS = $(patsubst %,$(BUILD)/engine/%.o,block engine_shape gguf gguf_keys kv_cache matrix model_layout model_open \
	model_slots model_vocabulary processors read_bytes tensor_type transformer_buffers)
OBJS = $(SERVER_OBJS) $(TEXT_OBJS) $(PLAN_OBJS)
ENGINE_LIBRARY = llama2_engine.so
comma = ,
MODELS = $(wildcard models/*.gguf)

DATA = $(wildcard sql/llama2--*--*.sql)
DATA_built = sql/llama2--$(EXTVERSION).sql
REGRESS = $(patsubst sql/%.sql,%,$(filter-out sql/llama2%,$(sort $(wildcard sql/*.sql))))
SHLIB_LINK = $(EXPORTS) -lm
IMPORT_COMMAND = llama2-import
EXTRA_CLEAN = build $(ENGINE_LIBRARY) $(IMPORT_COMMAND)

# pgxs.mk may be there, as part of the client's package, without the server's headers
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)

# no second compilation, to bitcode: nothing here is worth inlining into a query
override with_llvm = no
include $(PGXS)

# not -fvisibility=hidden: before version 16 PG_FUNCTION_INFO_V1 does not export
# the function itself
EXPORTS = $(if $(filter linux,$(PORTNAME)),-Wl$(comma)--version-script=src/exports.map)

# PostgreSQL's headers do not compile cleanly with all of -Wextra
SERVER_CFLAGS = $(CFLAGS) -fPIC -Wall -Wextra $(WERROR) -Wno-sign-compare \
	-Wno-unused-parameter -Wno-missing-field-initializers
SERVER_CPPFLAGS = -Isrc $(CPPFLAGS)

# the worker starts the team of threads itself
$(WORKER_OBJS): SERVER_CFLAGS += -fopenmp

$(SERVER_OBJS) $(WORKER_OBJS): $(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(SERVER_CFLAGS) $(SERVER_CPPFLAGS) -MMD -MP -c $< -o $@

all: $(ENGINE_LIBRARY) $(IMPORT_COMMAND)

$(IMPORT_MAIN): ENGINE_CFLAGS += -DLLAMA2_MODEL_FOLDER='"$(datadir)/llama2"' -DLLAMA2_VERSION='"$(EXTVERSION)"'

$(IMPORT_COMMAND): $(IMPORT_MAIN) $(BUILD)/libimport.a $(BUILD)/libllm.a
	$(CC) $(ENGINE_CFLAGS) -Wl,--as-needed -o $@ $^ $(IMPORT_LIBS) $(ENGINE_LIBS)

$(shlib) $(ENGINE_LIBRARY): src/exports.map

$(ENGINE_LIBRARY): $(WORKER_OBJS) $(TEXT_OBJS) $(ENGINE_OBJS)
	$(CC) -shared -o $@ $(WORKER_OBJS) $(TEXT_OBJS) $(ENGINE_OBJS) $(LDFLAGS) $(LDFLAGS_SL) $(EXPORTS) -fopenmp $(ENGINE_LIBS)

sql/llama2--$(EXTVERSION).sql: sql/llama2.sql
	cp $< $@

install: install-engine

install-engine: all installdirs
	$(INSTALL_SHLIB) $(ENGINE_LIBRARY) '$(DESTDIR)$(pkglibdir)/'
	$(INSTALL) -d -m 755 '$(DESTDIR)$(datadir)/llama2'
	$(if $(MODELS),$(INSTALL_DATA) $(MODELS) '$(DESTDIR)$(datadir)/llama2/')
	$(INSTALL) -d -m 755 '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) $(IMPORT_COMMAND) '$(DESTDIR)$(bindir)/'
	$(INSTALL_DATA) src/import/$(IMPORT_COMMAND).1 '$(DESTDIR)$(mandir)/man1/'

uninstall: uninstall-engine

uninstall-engine:
	rm -f '$(DESTDIR)$(pkglibdir)/$(ENGINE_LIBRARY)'
	rm -f $(addprefix '$(DESTDIR)$(datadir)/llama2/',$(notdir $(MODELS)))
	rm -f '$(DESTDIR)$(bindir)/$(IMPORT_COMMAND)' '$(DESTDIR)$(mandir)/man1/$(IMPORT_COMMAND).1'

# Tests need the extension where the server looks for it.
install-for-tests: all
	@if [ -w '$(pkglibdir)' ] && [ -w '$(datadir)/extension' ] && [ -w '$(bindir)' ]; then \
		$(MAKE) --no-print-directory install >build/install.log || { cat build/install.log; exit 1; }; \
	elif cmp -s llama2.so '$(pkglibdir)/llama2.so' && \
		cmp -s $(ENGINE_LIBRARY) '$(pkglibdir)/$(ENGINE_LIBRARY)' && \
		cmp -s $(IMPORT_COMMAND) '$(bindir)/$(IMPORT_COMMAND)' && \
		cmp -s $(DATA_built) '$(datadir)/extension/$(notdir $(DATA_built))'; then \
		echo "testing the installed llama2, which is the one built here"; \
	else \
		echo "The tests need llama2 installed in $(pkglibdir), where you cannot write."; \
		echo "Run \"sudo make install\" first."; \
		exit 1; \
	fi

.PHONY: install-engine uninstall-engine install-for-tests

else

all install uninstall installcheck install-for-tests:
	@echo "$(PG_CONFIG) names no PostgreSQL server with its headers."
	@echo "Run \"make install-packages\" as root, or set PG_CONFIG."
	@exit 1

clean:
	rm -rf $(EXTRA_CLEAN) $(DATA_built) llama2.so

endif

# --- demo and tests ------------------------------------------------------------
# These work on a machine that has no compiler and no PostgreSQL yet, so each
# step that needs them is a make of its own.

JOBS := $(shell nproc 2>/dev/null || echo 1)
SUBMAKE = $(MAKE) --no-print-directory
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

install-packages: ## install the Debian packages that are missing (as root)
	@test/install_packages.sh

demo: install-packages ## build, install, and show llama2 on a server of its own
	@mkdir -p build
	@echo "Building ..."
	@$(SUBMAKE) $(PARALLEL) all >build/make.log 2>&1 || { cat build/make.log; exit 1; }
	@$(SUBMAKE) install-for-tests
	@test/demo.sh

test: install-packages ## build, install and run every test; the last line counts them
	@$(SUBMAKE) $(PARALLEL) all programs
	@$(SUBMAKE) install-for-tests
	@BUILD=$(BUILD) test/run_tests.sh

programs: engine-programs fuzz-programs

.PHONY: install-packages demo test programs

# --- C programs: engine tests, fuzzers, benchmarks -----------------------------

ENGINE_TESTS = $(patsubst test/engine/%.c,$(BUILD)/test/%,$(sort $(wildcard test/engine/test_*.c)))
IMPORT_TESTS = $(patsubst test/import/%.c,$(BUILD)/test/%,$(sort $(wildcard test/import/test_*.c)))
IMPORT_FUZZERS = $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_import*.c)))
FUZZERS = $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
IMPORT_BENCHES = $(addprefix $(BUILD)/bench/,quantize_bench make_checkpoint model_sizes)
BENCHES = $(patsubst test/bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard test/bench/*.c)))
PROGRAMS = $(ENGINE_TESTS) $(EMULATED_TESTS) $(IMPORT_TESTS) $(FUZZERS) $(BENCHES)

# The sets of kernels that few processors run are tested on all that have AVX-512 with VBMI and BF16, with the
# instructions emulated that they lack; that also shows AddressSanitizer what tiles read.  The set avx512 is there in the way
# that suits other processors than this one (avx512.h).
ifneq ($(AVX512),)
EMULATED_TESTS = $(patsubst %,$(BUILD)/test/test_%_emulated,architecture embed engine logits matmul mixed_types \
	prompt_products reproducible)
EMULATED_SRCS = $(sort $(wildcard src/engine/kernels/amx_*.c src/engine/kernels/avxvnni_*.c)) $(addprefix src/engine/kernels/,select.c avx512_quantized.c)
EMULATED_OBJS = $(patsubst src/engine/kernels/%.c,$(BUILD)/emulated/%.o,$(EMULATED_SRCS))
endif
EMULATE = -include test/engine/emulate_amx.h

define LINK_PROGRAM
@mkdir -p $(@D)
$(CC) $(ENGINE_CFLAGS) -MMD -MP $< -o $@ $(filter %.o %/libimport.a,$^) $(BUILD)/libllm.a \
	$(if $(filter %/libimport.a,$^),$(IMPORT_LIBS)) $(ENGINE_LIBS)
endef

$(IMPORT_TESTS) $(IMPORT_FUZZERS) $(IMPORT_BENCHES): $(BUILD)/libimport.a

$(EMULATED_OBJS): OPTIMIZE = $(KERNEL_O) $(AVX512) -mavx512bf16 -mavx512vbmi -mamx-tile -mamx-int8 -mamx-bf16
$(BUILD)/emulated/select.o: OPTIMIZE = $(KERNEL_O)
$(BUILD)/emulated/avx512_quantized.o: OPTIMIZE = $(KERNEL_O) $(AVX512)
$(BUILD)/emulated/avx512_quantized.o: EMULATE = -DSWAP_CACHE_LEVELS=true

$(EMULATED_OBJS): $(BUILD)/emulated/%.o: src/engine/kernels/%.c
	@mkdir -p $(@D)
	$(CC) $(ENGINE_CFLAGS) $(OPTIMIZE) $(EMULATE) -MMD -MP -c $< -o $@

$(EMULATED_TESTS): private ENGINE_CFLAGS += $(EMULATE)
$(EMULATED_TESTS): $(BUILD)/test/%_emulated: test/engine/%.c $(EMULATED_OBJS) $(BUILD)/libllm.a
	$(LINK_PROGRAM)

$(IMPORT_TESTS): $(BUILD)/test/%: test/import/%.c $(BUILD)/libllm.a
	$(LINK_PROGRAM)

$(ENGINE_TESTS): $(BUILD)/test/%: test/engine/%.c $(BUILD)/libllm.a
	$(LINK_PROGRAM)

$(BUILD)/test/test_grammar_memory: ENGINE_LIBS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(FUZZERS): $(BUILD)/fuzz/%: test/fuzz/%.c $(BUILD)/libllm.a
	$(LINK_PROGRAM)

$(BENCHES): $(BUILD)/bench/%: test/bench/%.c $(BUILD)/libllm.a
	$(LINK_PROGRAM)

engine-programs: $(ENGINE_TESTS) $(EMULATED_TESTS) $(IMPORT_TESTS)
fuzz-programs: $(FUZZERS)

engine-test: $(ENGINE_TESTS) $(EMULATED_TESTS) $(IMPORT_TESTS) ## run the C tests alone
	prove -e '' $^

fuzz-test: $(FUZZERS)
	$(if $(FUZZERS),prove -e '' $(FUZZERS))

asan: ## engine tests and fuzzers under AddressSanitizer and UBSan
	$(SUBMAKE) $(PARALLEL) VARIANT=asan engine-programs fuzz-programs
	$(SUBMAKE) VARIANT=asan engine-test fuzz-test

bench: $(BENCHES) install-for-tests ## tokens per second of the engine and of SQL, beside this machine's limits
	@test/bench/compare_peers.sh
	@test/bench/compare_sql.sh

.PHONY: engine-programs fuzz-programs engine-test fuzz-test asan bench

-include $(patsubst %.o,%.d,$(OBJS) $(WORKER_OBJS) $(ENGINE_OBJS) $(IMPORT_OBJS) $(IMPORT_MAIN) $(EMULATED_OBJS)) $(addsuffix .d,$(PROGRAMS))

# --- formatting ----------------------------------------------------------------

indent: ## format all C files as PostgreSQL's are
	@test/indent.pl

indent-check: ## fail if "make indent" would change something
	@test/indent.pl --check

.PHONY: indent indent-check
