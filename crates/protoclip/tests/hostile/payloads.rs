//! Pickles that would run a command where they are loaded by Python: refused, and nothing ran.

use std::io::{Cursor, Write};

use protoclip::model::weights::tensor_shapes;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip file without compression, as `torch.save` makes it.
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        archive.start_file(*name, options).expect("begins");
        archive.write_all(bytes).expect("writes");
    }
    archive.finish().expect("ends").into_inner()
}

/// Text as an opcode of protocol 2.
fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [b"X".as_slice(), &length, text.as_bytes()].concat()
}

/// `module.name(*arguments)`
fn call(module: &str, name: &str, arguments: &[&str]) -> Vec<u8> {
    let mut pickle = b"\x80\x02c".to_vec();
    pickle.extend(format!("{module}\n{name}\n(").as_bytes());
    for argument in arguments {
        pickle.extend(text(argument));
    }
    pickle.extend(b"tR.");
    pickle
}

/// What would create a file at `canary`, in twenty ways.
fn payloads(canary: &str) -> Vec<Vec<u8>> {
    let shell = format!("touch {canary}");
    let python = format!("open({canary:?}, 'w')");
    let import = format!("__import__('os').system({shell:?})");
    let mut all = vec![
        call("os", "system", &[&shell]),
        call("posix", "system", &[&shell]),
        call("nt", "system", &[&shell]),
        call("os", "popen", &[&shell]),
        call("os", "mkdir", &[canary]),
        call("subprocess", "call", &[&shell]),
        call("subprocess", "Popen", &[&shell]),
        call("subprocess", "check_output", &[&shell]),
        call("builtins", "eval", &[&python]),
        call("builtins", "exec", &[&import]),
        call("__builtin__", "eval", &[&import]),
        call("builtins", "open", &[canary, "w"]),
        call("pathlib", "Path.touch", &[canary]),
        call("shutil", "copy", &["/etc/hostname", canary]),
        call("runpy", "run_path", &[canary]),
        call("torch", "load", &[canary]),
        call("numpy", "save", &[canary, "x"]),
        call("torch._utils", "_rebuild_tensor_v2\nsystem", &[&shell]),
    ];
    // The old opcode that finds and calls at once, and the new one that takes names from the stack.
    let mut inst = b"\x80\x02(".to_vec();
    inst.extend(text(&shell));
    inst.extend(b"ios\nsystem\n.");
    let mut stack = b"\x80\x04".to_vec();
    for name in ["os", "system"] {
        stack.extend([0x8c, name.len() as u8]);
        stack.extend(name.as_bytes());
    }
    stack.push(0x93);
    stack.extend(text(&shell));
    stack.extend(b"\x85R.");
    all.extend([inst, stack]);
    all
}

#[test]
fn twenty_payloads_are_refused_and_the_canary_lives() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let canary = folder.path().join("canary");
    let payloads = payloads(canary.to_str().expect("text"));
    assert!(payloads.len() >= 20);
    for (number, pickle) in payloads.iter().enumerate() {
        let zipped = archive(&[("x/data.pkl", pickle), ("x/version", b"3\n")]);
        for (name, bytes) in [
            ("model.pt", &zipped),
            ("model.bin", &zipped),
            ("model.pth", pickle),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("writes");
            let error = tensor_shapes(&path).expect_err("refused").to_string();
            assert!(!error.is_empty(), "payload {number} in {name}");
            assert!(!canary.exists(), "payload {number} ran: {error}");
        }
    }
}
