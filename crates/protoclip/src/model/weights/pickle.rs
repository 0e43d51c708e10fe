//! Pickle read as data: a restricted interpreter of the opcodes that `torch.save` writes.
//!
//! A pickle is a program for a stack machine, and Python's own machine lets it call anything. This
//! one knows the handful of callables that describe tensors ([`Callable`]), as data; any other name
//! is an error, and nothing is ever executed. Values live in a [`Heap`] and refer to each other by
//! number, so shared, deeply nested and cyclic values cost nothing when they are copied or dropped.
//! Every opcode makes at most one value of a size that its own bytes bound, so memory is bounded by
//! the length of the pickle.

mod bytes;
mod callable;
mod heap;

use std::collections::HashMap;

use bytes::Bytes;
pub(super) use callable::Callable;
pub(super) use heap::{Heap, Node, NodeId, StorageRef, TensorRef};

/// Longest pickle that is interpreted; tensors' numbers are not in it.
pub(super) const LONGEST_PICKLE: u64 = 32 << 20;
/// Most values altogether, on the stack, and copied from one collection to another.
const MOST_VALUES: usize = 1 << 20;

/// Where a pickle comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// `torch.save`
    Saved,
    /// A TorchScript archive, whose modules are objects of classes below `__torch__`. They are read as
    /// named fields; the archive's code is not looked at.
    Scripted,
}

/// Runs a pickle; returns its values and which of them is the result.
///
/// # Errors
/// Says what the pickle holds that is no data, or where it is broken.
pub(super) fn read(pickle: &[u8], origin: Origin) -> Result<(Heap, NodeId), String> {
    let mut machine = Machine {
        bytes: Bytes::new(pickle),
        origin,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        copied: 0,
    };
    loop {
        let opcode = machine.bytes.byte()?;
        if opcode == b'.' {
            let result = machine.pop()?;
            return Ok((machine.heap, result));
        }
        machine.step(opcode)?;
        if machine.stack.len() > MOST_VALUES || machine.heap.len() > MOST_VALUES {
            return Err(format!("the pickle holds more than {MOST_VALUES} values"));
        }
    }
}

struct Machine<'a> {
    bytes: Bytes<'a>,
    origin: Origin,
    heap: Heap,
    stack: Vec<NodeId>,
    /// Heights of the stack at which open collections begin.
    marks: Vec<usize>,
    memo: HashMap<u32, NodeId>,
    /// Values copied so far.
    copied: usize,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            // PROTO, FRAME: say how the rest is written, which makes no difference here.
            0x80 => self.protocol(),
            0x95 => self.bytes.take(8).map(|_| ()),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.above_mark().map(|_| ()),
            b'2' => {
                let top = *self.stack.last().ok_or_else(underflow)?;
                self.stack.push(top);
                Ok(())
            }
            b'q' | b'r' | b'h' | b'j' | 0x94 => self.memory(opcode),
            b'N' | 0x88 | 0x89 | b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(opcode),
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' => self.text(opcode),
            b')' | b']' | b'}' | b't' | b'l' | b'd' | 0x85..=0x87 => self.collection(opcode),
            b'a' | b'e' | b's' | b'u' => self.insert(opcode),
            b'c' | 0x93 => self.global(opcode),
            b'Q' => self.persistent(),
            b'R' => self.reduce(),
            0x81 if self.origin == Origin::Scripted => self.new_object(),
            b'b' => self.build(),
            other => Err(format!(
                "opcode 0x{other:02x} at byte {} is none that a state dict needs",
                self.bytes.position() - 1
            )),
        }
    }

    fn protocol(&mut self) -> Result<(), String> {
        match self.bytes.byte()? {
            2..=5 => Ok(()),
            other => Err(format!("pickle protocol {other} is not 2 to 5")),
        }
    }

    /// BINPUT, LONG_BINPUT, MEMOIZE remember the top of the stack; BINGET, LONG_BINGET push what was
    /// remembered.
    fn memory(&mut self, opcode: u8) -> Result<(), String> {
        let slot = match opcode {
            b'q' | b'h' => u32::from(self.bytes.byte()?),
            b'r' | b'j' => self.bytes.u32()?,
            _ => self.memo.len() as u32,
        };
        if matches!(opcode, b'h' | b'j') {
            let known = self.memo.get(&slot);
            let found = *known.ok_or_else(|| format!("memo entry {slot} does not exist"))?;
            self.stack.push(found);
        } else {
            let top = *self.stack.last().ok_or_else(underflow)?;
            self.memo.insert(slot, top);
        }
        Ok(())
    }

    /// NONE, NEWTRUE, NEWFALSE, BININT1, BININT2, BININT, LONG1, BINFLOAT.
    fn number(&mut self, opcode: u8) -> Result<(), String> {
        let node = match opcode {
            b'N' | 0x88 | 0x89 => Node::Plain,
            b'K' => Node::Int(i64::from(self.bytes.byte()?)),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.bytes.array()?))),
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.bytes.array()?))),
            0x8a => {
                let count = usize::from(self.bytes.byte()?);
                long(self.bytes.take(count)?).map_or(Node::Plain, Node::Int)
            }
            _ => {
                self.bytes.take(8)?;
                Node::Plain
            }
        };
        self.push(node);
        Ok(())
    }

    /// Text and bytes with a length of one, four or eight bytes before them.
    fn text(&mut self, opcode: u8) -> Result<(), String> {
        let count = match opcode {
            0x8c | b'U' | b'C' => u64::from(self.bytes.byte()?),
            0x8d => u64::from_le_bytes(self.bytes.array()?),
            _ => u64::from(self.bytes.u32()?),
        };
        let count = usize::try_from(count).map_err(|_| "a text is too long".to_owned())?;
        let raw = self.bytes.take(count)?;
        let node = match opcode {
            b'B' | b'C' => Node::Plain,
            _ => {
                let text = std::str::from_utf8(raw);
                Node::Text(text.map_err(|_| "a text is not UTF-8".to_owned())?.into())
            }
        };
        self.push(node);
        Ok(())
    }

    /// Empty and filled tuples, lists and dictionaries.
    fn collection(&mut self, opcode: u8) -> Result<(), String> {
        let node = match opcode {
            b')' => Node::Tuple(Vec::new()),
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b't' => Node::Tuple(self.above_mark()?),
            b'l' => Node::List(self.above_mark()?),
            b'd' => Node::Dict(pairs(&self.above_mark()?)?),
            sized => {
                let count = usize::from(sized - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(underflow)?;
                self.check_marks(from)?;
                Node::Tuple(self.stack.split_off(from))
            }
        };
        self.push(node);
        Ok(())
    }

    /// APPEND, APPENDS, SETITEM, SETITEMS: fills the collection below the new items.
    fn insert(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.above_mark()?,
        };
        let target = *self.stack.last().ok_or_else(underflow)?;
        match (self.heap.get_mut(target), opcode) {
            (Node::List(list), b'a' | b'e') => list.extend(items),
            (Node::Dict(dict), b's' | b'u') => dict.extend(pairs(&items)?),
            // What is inside an object of no interest is of none either.
            (Node::Inert, _) => {}
            _ => return Err("items are put into something that is no collection".into()),
        }
        Ok(())
    }

    /// GLOBAL, STACK_GLOBAL: a callable or class by name.
    fn global(&mut self, opcode: u8) -> Result<(), String> {
        let (module, name) = if opcode == b'c' {
            (self.bytes.line()?.to_owned(), self.bytes.line()?.to_owned())
        } else {
            let name = self.pop()?;
            let module = self.pop()?;
            (self.heap.text(module)?.into(), self.heap.text(name)?.into())
        };
        let callable = Callable::named(&module, &name, self.origin)?;
        self.push(Node::Callable(callable));
        Ok(())
    }

    /// BINPERSID: a storage.
    fn persistent(&mut self) -> Result<(), String> {
        let id = self.pop()?;
        let storage = StorageRef::from_persistent_id(&self.heap, id)?;
        self.push(Node::Storage(Box::new(storage)));
        Ok(())
    }

    /// REDUCE: what a callable makes of its arguments.
    fn reduce(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let Node::Callable(callable) = self.heap.get(callable) else {
            return Err("something is called that is no callable".into());
        };
        let callable = callable.clone();
        let made = callable.apply(&self.heap, arguments)?;
        match &made {
            Node::Tuple(items) => self.charge(items.len())?,
            Node::Dict(items) => self.charge(items.len())?,
            _ => {}
        }
        self.push(made);
        Ok(())
    }

    /// NEWOBJ: an object of a scripted class, without fields yet.
    fn new_object(&mut self) -> Result<(), String> {
        self.pop()?;
        let class = self.pop()?;
        match self.heap.get(class) {
            Node::Callable(Callable::ScriptClass) => {
                self.push(Node::Record(Vec::new()));
                Ok(())
            }
            _ => Err("an object is made of something that is no class".into()),
        }
    }

    /// BUILD: sets attributes: the fields of a scripted object. An `OrderedDict` has some too
    /// (`_metadata`); they hold no weights.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let target = *self.stack.last().ok_or_else(underflow)?;
        let fields = match (self.heap.get(target), self.heap.get(state)) {
            (Node::Dict(_) | Node::Inert, _) => return Ok(()),
            (Node::Record(_), Node::Dict(fields)) => fields.clone(),
            _ => return Err("attributes are set on something that has none".into()),
        };
        self.charge(fields.len())?;
        *self.heap.get_mut(target) = Node::Record(fields);
        Ok(())
    }

    /// Counts what was copied, so that no small pickle copies one large collection many times.
    fn charge(&mut self, values: usize) -> Result<(), String> {
        self.copied += values;
        match self.copied > MOST_VALUES {
            true => Err(format!("the pickle copies more than {MOST_VALUES} values")),
            false => Ok(()),
        }
    }

    fn push(&mut self, node: Node) {
        let id = self.heap.add(node);
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<NodeId, String> {
        let below = self.stack.len().checked_sub(1).ok_or_else(underflow)?;
        self.check_marks(below)?;
        self.stack.pop().ok_or_else(underflow)
    }

    /// The values since the last mark, which is removed.
    fn above_mark(&mut self) -> Result<Vec<NodeId>, String> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    /// No value below an open mark may be taken away.
    fn check_marks(&self, height: usize) -> Result<(), String> {
        match self.marks.last() {
            Some(&mark) if height < mark => Err(underflow()),
            _ => Ok(()),
        }
    }
}

fn underflow() -> String {
    "the pickle takes more from its stack than is there".into()
}

fn pairs(items: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, String> {
    let (pairs, rest) = items.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err("a dictionary has a key without a value".into()),
    }
}

/// A little-endian number of up to eight bytes, with sign; `None` for larger ones.
fn long(bytes: &[u8]) -> Option<i64> {
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut wide = [fill; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests;
