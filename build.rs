//! Embedded files are read by a macro that cargo does not see; this tells it of their changes.

fn main() {
    println!("cargo::rerun-if-changed=static");
    println!("cargo::rerun-if-changed=templates");
}
