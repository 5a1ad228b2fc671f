# `make` builds mod_wsgi.so, `make run` shows it at work, `make test` runs everything.

CARGO ?= cargo
APXS ?= apxs
PYTHON := $(or $(PYO3_PYTHON),/usr/bin/python3)
TARGET := $(or $(CARGO_TARGET_DIR),target)
MODULE := $(TARGET)/release/libmod_wsgi.so
# Daemon mode: looked for beside the module.
PROGRAMS := mod_wsgi-supervisor mod_wsgi-worker mod_wsgi-worker.so
# Those of `make worker`, as the shell finds them.
OTHER_WORKERS := mod_wsgi-worker[0-9]*.[0-9]*
# For the tests of several Pythons; `make test OTHER_PYTHON=` goes without.
OTHER_PYTHON ?= $(shell .ci/other-python "$(PYTHON)")
version_of = $(shell "$(1)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ENVIRONMENT := .env/tests
# Clients and modules that the server tests use beside httpd's own.
BESIDE := curl openssl libapache2-mod-php libapache2-mod-xsendfile
# Server tests mostly wait for an httpd: two per processor.
THREADS ?= $(shell expr 2 \* $$(nproc))
# Of `make soak`.
RESTARTS ?= 1100

.PHONY: build worker run test differential lint advisories install uninstall soak scenarios bench bench-scaling instructions env packages clean

# The second is for Python's own executable: a daemon process that does not link libpython.
build: packages
	$(CARGO) build --release
	PYO3_BUILD_EXTENSION_MODULE=1 CARGO_TARGET_DIR="$(abspath $(TARGET))/hosted" \
	    $(CARGO) build --release --lib --no-default-features --features hosted
	install -m 755 $(TARGET)/hosted/release/libmod_wsgi.so $(TARGET)/release/mod_wsgi-worker.so

# The program for daemon process groups of another Python, beside the others: make worker PYTHON=/usr/bin/python3.13
worker: VERSION = $(call version_of,$(PYTHON))
worker:
	@test "$(origin PYTHON)" = "command line" || { echo "For which Python? make worker PYTHON=/usr/bin/python3.13" >&2; exit 1; }
	@test -n "$(VERSION)" || { echo "$(PYTHON) does not run" >&2; exit 1; }
	@CARGO="$(CARGO)" APXS="$(APXS)" .ci/packages
	PYO3_PYTHON="$(PYTHON)" CARGO_TARGET_DIR="$(abspath $(TARGET))/python$(VERSION)" $(CARGO) build --release --bin mod_wsgi-worker
	install -D -m 755 $(TARGET)/python$(VERSION)/release/mod_wsgi-worker $(TARGET)/release/mod_wsgi-worker$(VERSION)

# Installs what is missing, builds, and serves a page on http://127.0.0.1:8000/; with APP=/path/app.wsgi your own
# application, with VENV=/path/env that has its packages in a virtual environment, with PORT=number elsewhere.
run: build
	APXS="$(APXS)" PORT="$(PORT)" VENV="$(VENV)" .ci/serve "$(MODULE)" $(if $(APP),"$(APP)")

test: build env
	$(if $(OTHER_PYTHON),$(MAKE) worker PYTHON="$(OTHER_PYTHON)",@echo "SKIPPED: several Pythons: OTHER_PYTHON names none" >&2)
	APXS="$(APXS)" .ci/packages $(BESIDE)
	REQUIRE_HTTPD=1 MOD_WSGI_SO=$(abspath $(MODULE)) MOD_WSGI_WORKER=$(abspath $(dir $(MODULE))mod_wsgi-worker) \
	    OTHER_PYTHON="$(OTHER_PYTHON)" RUST_TEST_THREADS=$(THREADS) $(CARGO) test --no-default-features
	$(if $(OTHER_PYTHON),MOD_WSGI_WORKER=$(abspath $(dir $(MODULE))mod_wsgi-worker$(call version_of,$(OTHER_PYTHON))) \
	    WORKER_PYTHON="$(OTHER_PYTHON)" $(CARGO) test --no-default-features --test worker)
	$(CARGO) test --lib
	$(PYTHON) tests/differential/run.py --module $(MODULE)
	.ci/packages valgrind
	$(PYTHON) tests/bench/instructions.py --module $(MODULE) --check

# The same requests to C mod_wsgi and to this module: fails on every difference that docs/differences.md does not explain. ARGS="--case
# 'path *' --show" for some of them.
differential: build
	$(PYTHON) tests/differential/run.py --module $(MODULE) $(ARGS)

lint: packages
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	PYO3_BUILD_EXTENSION_MODULE=1 CARGO_TARGET_DIR="$(abspath $(TARGET))/hosted" \
	    $(CARGO) clippy --lib --no-default-features --features hosted -- -D warnings
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --all-features check bans licenses sources

# Known vulnerabilities of the crates in use; needs the network.
advisories:
	$(CARGO) deny --all-features check advisories

# As root, or with DESTDIR for a package; workers for other Pythons as many as were built. On Debian `a2enmod wsgi` follows.
install:
	@test -f $(MODULE) || { echo "Nothing to install: run make first." >&2; exit 1; }
	install -D -m 644 $(MODULE) "$(DESTDIR)$$($(APXS) -q LIBEXECDIR)/mod_wsgi.so"
	for name in $(PROGRAMS) $$(cd "$(TARGET)/release" && ls -d $(OTHER_WORKERS) 2>/dev/null); do \
	    install -m 755 "$(TARGET)/release/$$name" "$(DESTDIR)$$($(APXS) -q LIBEXECDIR)/$$name" || exit 1; \
	done
	@if command -v a2enmod >/dev/null; then \
	    folder="$(DESTDIR)$$($(APXS) -q SYSCONFDIR)/mods-available"; \
	    install -d "$$folder"; \
	    sed "s|@LIBEXECDIR@|$$($(APXS) -q LIBEXECDIR)|" conf-examples/debian/wsgi.load > "$$folder/wsgi.load"; \
	    chmod 644 "$$folder/wsgi.load"; \
	    test -e "$$folder/wsgi.conf" || install -m 644 conf-examples/debian/wsgi.conf "$$folder/wsgi.conf"; \
	    echo "Installed. Enable it with: a2enmod wsgi"; \
	else \
	    echo "Installed. Load it with: LoadModule wsgi_module $$($(APXS) -q LIBEXECDIR)/mod_wsgi.so"; \
	fi

# What install made; wsgi.conf stays, it may have been edited.
uninstall:
	for name in mod_wsgi.so $(PROGRAMS); do rm -f "$(DESTDIR)$$($(APXS) -q LIBEXECDIR)/$$name"; done
	rm -f "$(DESTDIR)$$($(APXS) -q LIBEXECDIR)"/$(OTHER_WORKERS)
	rm -f "$(DESTDIR)$$($(APXS) -q SYSCONFDIR)/mods-available/wsgi.load"

# Graceful restarts, killed processes, changed scripts, slow and vanishing clients, all at once and for long. By default
# more restarts than a process has thread-specific keys (1,024): a key leaked by each would show.
soak: build env
	SOAK=$(RESTARTS) REQUIRE_HTTPD=1 MOD_WSGI_SO=$(abspath $(MODULE)) \
	    $(CARGO) test --no-default-features --test server -- --nocapture --test-threads 1 soak

# This module beside C mod_wsgi, uWSGI, gunicorn, a C handler and a static file: a quarter of an hour, on a quiet machine. ARGS="--row
# hello --contender daemon" measures less, BLESS=1 writes docs/performance.md.
bench: build env
	.ci/packages wrk
	$(PYTHON) tests/bench/run.py --module $(MODULE) $(ARGS)

# How cost grows with threads, processes, clients and headers, beside C mod_wsgi.
bench-scaling: build
	.ci/packages wrk
	$(PYTHON) tests/bench/run.py --module $(MODULE) --scaling $(ARGS)

# Instructions of one request, by room; `make test` holds them to the bounds of tests/bench/instructions.toml.
instructions: build
	.ci/packages valgrind
	$(PYTHON) tests/bench/instructions.py --module $(MODULE) $(ARGS)

# What restarts, changed scripts and deaths cost, beside C mod_wsgi: the table in docs/restarts.md. ROWS="--row stop" for one.
scenarios: build
	$(PYTHON) tests/bench/scenarios.py --module $(MODULE) $(ROWS)

# Flask, Django and the rest for the framework tests.
env: $(ENVIRONMENT)/installed

$(ENVIRONMENT)/installed: tests/frameworks/requirements.txt | packages
	rm -rf $(ENVIRONMENT)
	$(PYTHON) -m venv $(ENVIRONMENT)
	$(ENVIRONMENT)/bin/pip install --quiet --requirement tests/frameworks/requirements.txt
	touch $@

packages:
	@CARGO="$(CARGO)" APXS="$(APXS)" PYO3_PYTHON="$(PYTHON)" .ci/packages

clean:
	$(CARGO) clean
	rm -rf .env
