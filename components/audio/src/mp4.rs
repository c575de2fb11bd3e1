//! The way through an MP4: from box to box, to the movie and its fragments.

use crate::{
    boxes::{self, Header},
    error::Error,
    fragment::Fragments,
    movie::Movie,
    track::Track,
    window::{PIECE, Window},
};

/// The largest movie box: twelve hours of video and audio fit.
const LARGEST_MOVIE: u64 = 16 * 1024 * 1024;

/// The largest box of a fragment, which is read in one piece.
const LARGEST_FRAGMENT: u64 = PIECE as u64;

/// How far the way went.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Where the next box begins.
    at: u64,
    /// The movie box, while it is read.
    collected: Option<Collected>,
    /// The track, if its packets stand in fragments.
    fragmented: Option<(Track, Fragments)>,
}

impl Walk {
    /// Go on. Returns `None` when bytes are wanted.
    pub(crate) fn advance(&mut self, window: &mut Window) -> Result<Option<Track>, Error> {
        if let Some(collected) = &mut self.collected {
            if !collected.advance(window) {
                return Ok(None);
            }
            let Movie { track, fragments } = Movie::read(&collected.bytes, window.size())?;
            self.collected = None;
            match fragments {
                None => return Ok(Some(track)),
                Some(fragments) => self.fragmented = Some((track, fragments)),
            }
        }
        // What is left at the end and is no box is padding.
        while self.at.saturating_add(8) <= window.size() {
            let Some(head) = window.get(self.at, boxes::HEADER) else {
                return Ok(None);
            };
            let header = Header::read(head)?;
            let size = header.size.unwrap_or(window.size() - self.at);
            let end = self.at.saturating_add(size);
            if end > window.size() {
                let name = boxes::name(header.kind);
                return Err(Error::malformed(format!("the box `{name}` is cut off")));
            }
            match (&header.kind, &mut self.fragmented) {
                (b"moov", None) => {
                    let length = within(size, LARGEST_MOVIE, "the `moov`")?;
                    self.collected = Some(Collected {
                        at: self.at + header.length,
                        end,
                        bytes: Vec::with_capacity(length as usize),
                    });
                    self.at = end;
                    return self.advance(window);
                }
                (b"moof", Some((track, fragments))) => {
                    let length = within(size, LARGEST_FRAGMENT, "a fragment")?;
                    let Some(moof) = window.get(self.at, length) else {
                        return Ok(None);
                    };
                    let moof = moof.get(header.length as usize..).unwrap_or_default();
                    fragments.read(moof, self.at, track)?;
                }
                _ => {}
            }
            self.at = end;
        }
        match self.fragmented.take() {
            Some((mut track, _)) => {
                track.duration_ms = track.timing.heard_ms();
                Ok(Some(track))
            }
            None => Err(Error::malformed("there is no box `moov`")),
        }
    }
}

/// The content of the movie box, which may be larger than the window.
#[derive(Debug)]
struct Collected {
    /// Where the rest of it begins.
    at: u64,
    end: u64,
    bytes: Vec<u8>,
}

impl Collected {
    /// Go on. Returns whether it is complete; if not, bytes are wanted.
    fn advance(&mut self, window: &mut Window) -> bool {
        while self.at < self.end {
            let length = (self.end - self.at).min(PIECE.into()) as u32;
            let Some(piece) = window.get(self.at, length) else {
                return false;
            };
            self.bytes.extend_from_slice(piece);
            self.at += u64::from(length);
        }
        true
    }
}

fn within(size: u64, limit: u64, what: &str) -> Result<u32, Error> {
    match u32::try_from(size) {
        Ok(length) if size <= limit => Ok(length),
        _ => Err(Error::TooLarge(format!("{what} of {size} bytes"))),
    }
}
