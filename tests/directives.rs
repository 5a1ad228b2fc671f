//! `docs/directives.md` is what the table of directives says. `BLESS=1` writes it anew.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_page_of_directives_is_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/directives.md");
    let wanted = mod_wsgi::config::reference();
    if env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&page, &wanted).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or_else(|| found.lines().count().min(wanted.lines().count())) + 1;
    assert!(
        found == wanted,
        "docs/directives.md differs from the table at line {line}; run: BLESS=1 cargo test --no-default-features --test directives"
    );
}
