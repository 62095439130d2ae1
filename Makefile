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

# Orders per second of the engine over real orders, and through Kafka where one can be had.
bench:
	@scripts/bench.sh

# A picture of the wall as the demo shows it. SHOT=FILE
screenshot:
	@scripts/screenshot.sh $(SHOT)
