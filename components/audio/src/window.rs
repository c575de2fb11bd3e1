//! The part of the file that is in memory.

use crate::soundtracks::Range;

/// How much is asked for at least, where the file has it: whoever reads on finds
/// it here.
pub(crate) const PIECE: u32 = 256 * 1024;

/// A view of a file that holds one piece of it, and knows which one is missing.
#[derive(Debug)]
pub(crate) struct Window {
    size: u64,
    offset: u64,
    bytes: Vec<u8>,
    wanted: Option<Range>,
    /// How often something was missing.
    asked: u64,
}

impl Window {
    /// A view of a file of this size, with nothing in it yet.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            offset: 0,
            bytes: Vec::new(),
            wanted: None,
            asked: 0,
        }
    }

    /// The size of the whole file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Up to `length` bytes from `offset`, fewer only where the file ends.
    ///
    /// Returns `None` if they are not here; then they are wanted.
    pub(crate) fn get(&mut self, offset: u64, length: u32) -> Option<&[u8]> {
        self.get_ahead(offset, length, || PIECE)
    }

    /// The same, where as many bytes as `ahead` says are worth reading at once.
    pub(crate) fn get_ahead(
        &mut self,
        offset: u64,
        length: u32,
        ahead: impl FnOnce() -> u32,
    ) -> Option<&[u8]> {
        let rest = self.size.saturating_sub(offset);
        let length = clip(length, rest);
        if length == 0 {
            return Some(&[]);
        }
        let start = offset.checked_sub(self.offset);
        let start = start.and_then(|start| usize::try_from(start).ok());
        let end = start.and_then(|start| start.checked_add(length as usize));
        let held = match (start, end) {
            (Some(start), Some(end)) if end <= self.bytes.len() => start..end,
            _ => {
                let length = clip(length.max(ahead()), rest);
                self.wanted = Some(Range { offset, length });
                self.asked += 1;
                return None;
            }
        };
        self.bytes.get(held)
    }

    /// What is missing.
    pub(crate) fn wanted(&self) -> Option<Range> {
        self.wanted
    }

    /// Whether bytes were missing more often than in any file whose parts stand
    /// roughly in order. It bounds the work that a small file can cause.
    pub(crate) fn is_scattered(&self) -> bool {
        self.asked > 256 + self.size / 2048
    }

    /// Take in what was missing, instead of what was here before. Returns whether
    /// it is as long as that.
    pub(crate) fn supply(&mut self, content: Vec<u8>) -> bool {
        match self.wanted {
            Some(wanted) if wanted.length as usize == content.len() => {
                self.offset = wanted.offset;
                self.bytes = content;
                self.wanted = None;
                true
            }
            _ => false,
        }
    }
}

fn clip(length: u32, rest: u64) -> u32 {
    u32::try_from(rest).map_or(length, |rest| rest.min(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_wanted_and_then_here() {
        let mut window = Window::new(10);
        assert!(window.get_ahead(2, 3, || 5).is_none());
        let wanted = window.wanted().unwrap();
        assert_eq!((wanted.offset, wanted.length), (2, 5));
        assert!(!window.supply(vec![0; 4]));
        assert!(window.supply(vec![2, 3, 4, 5, 6]));
        assert_eq!(window.get(3, 4), Some(&[3, 4, 5, 6][..]));
        assert!(window.wanted().is_none());
    }

    #[test]
    fn the_end_of_the_file_is_the_end_of_what_is_given() {
        let mut window = Window::new(3);
        assert!(window.get(1, 100).is_none());
        assert_eq!(window.wanted().unwrap().length, 2);
        assert!(window.supply(vec![1, 2]));
        assert_eq!(window.get(2, 100), Some(&[2][..]));
        assert_eq!(window.get(3, 100), Some(&[][..]));
        assert_eq!(window.get(u64::MAX, 100), Some(&[][..]));
    }
}
