# autorma's commands. `make run` and `make test` are all that a newcomer needs; both fetch what is missing.

INPUT ?= data/samples
OUTPUT ?= data/results
DATA ?= data/autorma
SEEDS ?= 1000
PHOTOS ?= ../shared/data
KAFKA_PORT ?= 9092

# CMake from scripts/tools.sh, where the machine has none.
export PATH := $(PATH):$(CURDIR)/target/tools/cmake/cmake/data/bin
export CARGO_TERM_COLOR ?= auto

.PHONY: help run test bench chaos program e2e-program tools runtime lint docs backbone model kafka kafka-stop clean

help:
	@echo "make run [INPUT=/photos] [OUTPUT=/results]   build, then classify a folder; without INPUT, sample pictures"
	@echo "make test                                    format, lints, documentation, every test"
	@echo "make bench [LOG=kafka]                       measure, the second time on a Kafka of its own: JSON and a table"
	@echo "make chaos [SEEDS=1000] [SEED=17] [LOG=kafka]  kill seeds, as many as asked, or one again"
	@echo "make kafka [KAFKA_PORT=9092]                 start a Kafka on this machine, with its data in data/kafka"
	@echo "make kafka-stop                              end it; its data stays"
	@echo "make program                                 build target/release/autorma"
	@echo "make backbone                                fetch and convert what \`autorma train\` builds on"
	@echo "make model [PHOTOS=../shared/data]           train models/shipped anew on the PHOTOS"
	@echo "make clean                                   remove target and the sample pictures; results and all else in data stay"

run: program
	@if [ "$(INPUT)" = data/samples ]; then target/release/autorma samples data/samples; fi
	@target/release/autorma run --input "$(INPUT)" --output "$(OUTPUT)" --data "$(DATA)" || [ $$? -eq 2 ]
	@if [ "$(INPUT)" = data/samples ]; then \
		echo; echo "These were pictures that autorma has drawn. Your own folder: make run INPUT=/photos"; fi

# The tests of the main path run on both homes of the log. Of the whole workspace, so that nothing is built twice: no
# other test may have one of these names, or it would run a second time. On Kafka without those of a registry on an MLflow
# server, `on_a_server`: no registry knows where the log is.
BOTH_HOMES := batch daemon backlog hostile model chaos produce arms replay registry

# Servers of a test's own are on this machine, whatever proxy leads elsewhere.
test: export NO_PROXY := 127.0.0.1,localhost,$(or $(NO_PROXY),$(no_proxy))
test: export no_proxy = $(NO_PROXY)

test: lint docs e2e-program
	@scripts/tools.sh kafka
	env -u LOG cargo test --workspace --locked
	LOG=kafka cargo test --workspace --locked $(addprefix --test ,$(BOTH_HOMES)) -- --skip on_a_server

lint: tools runtime
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

docs: tools
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

bench: program backbone
	$(if $(filter kafka,$(LOG)),@scripts/tools.sh kafka)
	cargo run --release --locked --package autorma-bench $(if $(filter kafka,$(LOG)),-- --log kafka)

chaos: e2e-program
	$(if $(filter kafka,$(LOG)),@scripts/tools.sh kafka)
	SEEDS=$(SEEDS) $(if $(SEED),SEED=$(SEED)) cargo test --workspace --locked --test chaos -- --nocapture

program: tools runtime
	cargo build --release --locked --package autorma-cli

# The program with the places where it can be killed. With it one test, for Cargo to choose the features that it chooses
# for `cargo test --workspace`: without, everything is compiled once for the program and once for the tests.
e2e-program: tools runtime
	cargo build --workspace --locked --bin autorma --test chaos
	@mkdir -p target/e2e
	@cp target/debug/autorma target/e2e/autorma.new && mv target/e2e/autorma.new target/e2e/autorma

kafka: tools
	@scripts/tools.sh kafka
	@cargo run --quiet --locked --package autorma-broker -- start --port $(KAFKA_PORT)

kafka-stop:
	@cargo run --quiet --locked --package autorma-broker -- stop

tools:
	@scripts/tools.sh

runtime: tools
	@scripts/fetch-onnxruntime.sh

backbone:
	@models/build/backbone.sh

model: program backbone
	target/release/autorma train --data "$(PHOTOS)/fashion" --data "$(PHOTOS)/home" --other "$(PHOTOS)/other" \
		--backgrounds "$(PHOTOS)/backgrounds" --config models/build/recipe.toml --output target/model
	@cp target/model/model/* models/shipped/ && cat models/build/about.md >> models/shipped/CARD.md

# What was built and drawn, and nothing that may be missed: results, autorma's state and Kafka's data are in data. A Kafka
# that runs is a program in target.
clean:
	@if grep -qs kafka.Kafka "/proc/$$(cut -d ' ' -f 1 data/kafka/pid 2>/dev/null)/cmdline"; then \
		echo "the Kafka of make kafka runs: make kafka-stop ends it" >&2; exit 1; fi
	rm -rf target data/samples
