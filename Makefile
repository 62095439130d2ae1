# Every target is one plain command that works typed by hand as well.

.PHONY: demo test soak accounting check bench screenshot

# Builds what is needed and runs a generated Double 11; prints the address. OPTIONS="--rate 20000"
demo:
	@scripts/demo.sh $(OPTIONS)

# Everything: page, workspace, conformance, Kafka end to end, the wall in a browser.
test:
	@scripts/test.sh

# The random suites at length: a million malformed records, fifty thousand logs, two hundred kills.
# LOGS=n MALFORMED=n KILLS=n
soak:
	@scripts/soak.sh

# What became of every record of a day with every kind of record, printed.
accounting:
	@bash -c '. scripts/environment.sh && cargo test --release --workspace --locked --test engine accounting -- --nocapture'

# The quick half: formatting, lints and types; no release build.
check:
	@scripts/check.sh

# What the engine costs, one table: stages, views beside DataFusion, checkpoints, a drain of Kafka beside a
# bare consumer, event to frame, restart, memory; and analysts' questions beside DuckDB. OPTIONS="--quick",
# "--only drain --rounds 5", "--only analysts --orders 100000000"
bench:
	@scripts/bench.sh $(OPTIONS)

# A picture of the wall as the demo shows it. SHOT=FILE
screenshot:
	@scripts/screenshot.sh $(SHOT)
