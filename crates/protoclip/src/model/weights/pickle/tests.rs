//! The interpreter on pickles made by hand, hostile ones among them, and on changed real ones.

use std::io::Read;

use proptest::prelude::*;

use super::*;

fn run(pickle: &[u8]) -> Result<Node, String> {
    let (heap, root) = read(pickle, Origin::Saved)?;
    Ok(heap.get(root).clone())
}

fn refused(pickle: &[u8]) -> String {
    run(pickle).expect_err("refused")
}

#[test]
fn names_of_code_are_refused_and_named() {
    // What `pickle.dumps` makes of an object whose __reduce__ is (os.system, ("touch canary",)).
    let protocol_2 =
        b"\x80\x02cposix\nsystem\nq\x00X\x0c\x00\x00\x00touch canaryq\x01\x85q\x02Rq\x03.";
    let message = refused(protocol_2);
    assert!(
        message.contains("\"posix.system\" is code, not data"),
        "{message}"
    );
    let protocol_4 = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.";
    assert!(refused(protocol_4).contains("builtins.eval"));
    for name in [
        "torch\nload",
        "torch._utils\n_rebuild_qtensor",
        "numpy\nload",
        "torch\nStorage",
    ] {
        let pickle = [b"\x80\x02c".as_slice(), name.as_bytes(), b"\n."].concat();
        let message = refused(&pickle);
        assert!(message.contains("is code, not data"), "{message}");
    }
}

#[test]
fn opcodes_that_state_dicts_do_not_need_are_refused() {
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID, NEXT_BUFFER, EMPTY_SET
    for opcode in [b'i', b'o', 0x81, 0x92, 0x82, b'P', 0x97, 0x8f] {
        let message = refused(&[0x80, 2, b'N', opcode, b'.']);
        assert!(message.contains(&format!("0x{opcode:02x}")), "{message}");
    }
    assert!(refused(b"\x80\x09N.").contains("protocol 9"));
}

#[test]
fn data_is_read_with_its_memo_and_marks() {
    let pickle = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b(K\x01M\x00\x01J\xff\xff\xff\xffteu.";
    // The tuple's items were put into a list that is not there.
    assert!(refused(pickle).contains("no collection"));
    let (heap, root) = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b(K\x01M\x00\x01J\xff\xff\xff\xfftu.", Origin::Saved).expect("reads");
    let Node::Dict(items) = heap.get(root) else {
        panic!("no dictionary");
    };
    assert_eq!(heap.text(items[0].0), Ok("a"));
    assert_eq!(heap.get(items[0].1), &Node::Int(7));
    let numbers = heap.items(items[1].1).expect("tuple");
    let numbers: Vec<&Node> = numbers.iter().map(|&id| heap.get(id)).collect();
    assert_eq!(numbers, [&Node::Int(1), &Node::Int(256), &Node::Int(-1)]);
}

#[test]
fn broken_pickles_are_errors() {
    for pickle in [
        b"".as_slice(),
        b"\x80\x02",
        b".",
        b"\x80\x02(.",
        b"\x80\x02N(0.",
        b"\x80\x02h\x05.",
        b"\x80\x02NR.",
        b"\x80\x02)R.",
        b"\x80\x02)Q.",
        b"\x80\x02]]s.",
        b"\x80\x02}(Nu.",
        b"\x80\x02X\xff\xff\xff\xffab.",
        b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.",
        b"\x80\x02ctorch\nSize",
        b"\x80\x02ccollections\nOrderedDict\n]N\x85R.",
    ] {
        run(pickle).expect_err("broken");
    }
}

#[test]
fn a_collection_inside_itself_and_deep_nesting_cost_nothing() {
    // a = []; a.append(a)
    run(b"\x80\x02]q\x00h\x00a.").expect("reads");
    let depth = 300_000;
    let deep = [vec![b']'; depth], vec![b'a'; depth - 1], vec![b'.']].concat();
    run(&deep).expect("reads without recursion");
    let mut many = vec![b'N'; MOST_VALUES + 2];
    many.push(b'.');
    assert!(refused(&many).contains("more than"));
}

#[test]
fn a_small_pickle_cannot_copy_a_large_collection_many_times() {
    let mut pickle = b"\x80\x02](".to_vec();
    pickle.extend(vec![b'N'; 100_000]);
    pickle.extend(b"eq\x00");
    for _ in 0..20 {
        pickle.extend(b"ctorch\nSize\nh\x00\x85R");
    }
    pickle.push(b'.');
    assert!(refused(&pickle).contains("copies more than"));
    // One long name for many storages.
    let long = "7".repeat(1000);
    let count = (long.len() as u32).to_le_bytes();
    let mut pickle = b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX".to_vec();
    pickle.extend(count);
    pickle.extend(long.as_bytes());
    pickle.extend(b"X\x03\x00\x00\x00cpuK\x06tQ.");
    assert!(refused(&pickle).contains("name of a storage"));
}

#[test]
fn scripted_modules_are_fields_and_only_in_their_own_archives() {
    // M(weight=None, b=M(…)), the inner one with no fields.
    let pickle = b"\x80\x02c__torch__.net\nM\nq\x00)\x81}(X\x01\x00\x00\x00wNX\x01\x00\x00\x00bh\x00)\x81}bub.";
    let (heap, root) = read(pickle, Origin::Scripted).expect("reads");
    let Node::Record(fields) = heap.get(root) else {
        panic!("no record");
    };
    assert_eq!(heap.text(fields[1].0), Ok("b"));
    assert_eq!(heap.get(fields[1].1), &Node::Record(Vec::new()));
    assert!(refused(pickle).contains("__torch__.net.M"));
    let other = b"\x80\x02cbuiltins\nobject\n)\x81.";
    let message = read(other, Origin::Scripted).expect_err("code");
    assert!(message.contains("is code, not data"), "{message}");
    let called = b"\x80\x02c__torch__\nM\n)R.";
    read(called, Origin::Scripted).expect_err("a class is not called");
}

#[test]
fn integers_have_any_length_up_to_eight_bytes() {
    assert_eq!(long(&[]), Some(0));
    assert_eq!(long(&[0xff]), Some(-1));
    assert_eq!(long(&[0x80, 0]), Some(128));
    assert_eq!(long(&[1; 9]), None);
}

/// `torch._utils._rebuild_tensor_v2(storage of 6 floats, offset, shape, strides, False, {})`
fn tensor(offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Result<Node, String> {
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ".to_vec();
    pickle.extend([b'K', offset]);
    for [a, b] in [shape, strides] {
        pickle.extend([b'K', a, b'K', b, 0x86]);
    }
    pickle.extend(b"\x89}tR.");
    run(&pickle)
}

#[test]
fn views_stay_within_their_storage() {
    let whole = tensor(0, [2, 3], [3, 1]).expect("fits");
    let Node::Tensor(whole) = whole else {
        panic!("no tensor");
    };
    assert_eq!((whole.shape, whole.storage.count), (vec![2, 3], 6));
    tensor(0, [3, 2], [1, 3]).expect("transposed");
    tensor(2, [2, 2], [2, 1]).expect("a part");
    tensor(200, [0, 9], [9, 1]).expect("empty");
    for (offset, shape, strides) in [
        (1, [2, 3], [3, 1]),
        (0, [2, 3], [4, 1]),
        (0, [6, 1], [200, 200]),
        (6, [1, 1], [1, 1]),
    ] {
        let message = tensor(offset, shape, strides).expect_err("outside");
        assert!(message.contains("leaves its storage"), "{message}");
    }
    let message = tensor(0, [100, 100], [0, 0]).expect_err("repeats");
    assert!(message.contains(".contiguous()"), "{message}");
}

/// The pickle of a training checkpoint.
fn real_pickle() -> Vec<u8> {
    let file = std::fs::File::open(crate::golden::fixture("vit_checkpoint.pt")).expect("fixture");
    let mut archive = zip::ZipArchive::new(file).expect("zip");
    let mut entry = archive
        .by_name("vit_checkpoint/data.pkl")
        .expect("data.pkl");
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).expect("reads");
    bytes
}

#[test]
fn a_changed_pickle_is_an_error_or_data_of_its_size() {
    let pickle = real_pickle();
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    let changes = prop::collection::vec(change, 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let read_again = std::cell::Cell::new(0);
    let outcome = runner.run(&(changes, any::<bool>()), |(changes, scripted)| {
        let origin = if scripted {
            Origin::Scripted
        } else {
            Origin::Saved
        };
        let mut bytes = pickle.clone();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.remove(at)),
                _ => bytes[at] = byte,
            }
        }
        if let Ok((heap, _)) = read(&bytes, origin) {
            read_again.set(read_again.get() + 1);
            prop_assert!(heap.len() <= bytes.len());
            for id in 0..heap.len() {
                if let Node::Tensor(tensor) = heap.get(id) {
                    prop_assert!(tensor.shape.iter().product::<usize>() <= tensor.storage.count);
                }
            }
        }
        Ok(())
    });
    outcome.expect("never panics");
    assert!(read_again.get() > 100, "some changes must leave a pickle");
}
