//! A pickle's bytes, taken from the front.

/// What is left of a pickle.
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    position: usize,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        Self { all, position: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.position.checked_add(count);
        let taken = end.and_then(|end| self.all.get(self.position..end));
        let taken =
            taken.ok_or_else(|| format!("the pickle ends within byte {}", self.position))?;
        self.position += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    /// Up to the next line feed, which is taken and left out.
    pub(super) fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.all.get(self.position..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == b'\n');
        let end = end.ok_or_else(|| "the pickle ends within a name".to_owned())?;
        let line = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "a name is not UTF-8".into())
    }
}
