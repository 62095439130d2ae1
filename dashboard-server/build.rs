//! Makes sure the folder of the built page exists, so that cargo can watch it: a page that is built
//! later is embedded by the next build, and without a page nothing is compiled twice.

fn main() {
    let page = std::path::Path::new("../web/dist");
    // A read-only checkout without a page still builds; the server then says how to build the page.
    let _created = std::fs::create_dir_all(page);
    println!("cargo::rerun-if-changed=../web/dist");
}
