//! The way through a Matroska or WebM: from block to block.

use crate::{
    ebml::{self, Header, Marker},
    error::Error,
    lacing,
    packets::Packets,
    soundtracks::Container,
    timing::{Edit, Timing},
    track::Track,
    track_entry::{self, TrackEntry},
    window::{PIECE, Window},
};

/// The largest `Tracks` or `Info`. Only attachments and cover pictures are large,
/// and they stand elsewhere.
const LARGEST_MASTER: u64 = PIECE as u64;

/// How much of a block is read for the sizes of the packets in it.
const BLOCK_HEAD: u32 = 4096;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const DISCARD_PADDING: u32 = 0x75a2;

/// How far the way went.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Where the next element begins.
    at: u64,
    /// Nanoseconds in a unit of time.
    scale_ns: u64,
    /// In units.
    duration: f64,
    cluster_time: u64,
    latest: u64,
    /// What to leave off at the end.
    padding_ns: u64,
    entry: Option<TrackEntry>,
    packets: Packets,
}

impl Walk {
    /// The beginning of a file of this size.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            at: 0,
            scale_ns: 1_000_000,
            duration: 0.0,
            cluster_time: 0,
            latest: 0,
            padding_ns: 0,
            entry: None,
            packets: Packets::of(size),
        }
    }

    /// Go on. Returns `None` when bytes are wanted.
    pub(crate) fn advance(&mut self, window: &mut Window) -> Result<Option<Track>, Error> {
        while self.at < window.size() {
            let Some(head) = window.get(self.at, ebml::HEADER) else {
                return Ok(None);
            };
            let header = Header::read(head)?;
            let content = self.at + header.length;
            if matches!(header.id, SEGMENT | CLUSTER | BLOCK_GROUP) {
                // Where they end does not matter, so they may say it or not.
                self.at = content;
                continue;
            }
            let Some(size) = header.size else {
                return Err(Error::malformed(format!(
                    "the element {:x} has no end",
                    header.id
                )));
            };
            let end = content.saturating_add(size);
            if end > window.size() {
                return Err(Error::malformed(format!(
                    "the element {:x} is cut off",
                    header.id
                )));
            }
            let needed = match header.id {
                INFO | TRACKS if size > LARGEST_MASTER => {
                    let what = format!("an element of {size} bytes");
                    return Err(Error::TooLarge(what));
                }
                INFO | TRACKS => size as u32,
                TIMESTAMP | DISCARD_PADDING => size.min(8) as u32,
                BLOCK | SIMPLE_BLOCK => size.min(BLOCK_HEAD.into()) as u32,
                _ => 0,
            };
            // With the header, so that both are there when bytes were supplied.
            let Some(element) = window.get(self.at, header.length as u32 + needed) else {
                return Ok(None);
            };
            let body = element.get(header.length as usize..).unwrap_or_default();
            match header.id {
                INFO => self.info(body)?,
                TRACKS if self.entry.is_none() => self.entry = Some(track_entry::read(body)?),
                TIMESTAMP => self.cluster_time = ebml::unsigned(body),
                DISCARD_PADDING => self.padding_ns = ebml::unsigned(body),
                BLOCK | SIMPLE_BLOCK => self.block(body, content, size)?,
                _ => {}
            }
            self.at = end;
        }
        self.finish().map(Some)
    }

    fn info(&mut self, info: &[u8]) -> Result<(), Error> {
        for child in ebml::children(info) {
            match child? {
                (0x2a_d7b1, scale) => self.scale_ns = ebml::unsigned(scale),
                (0x4489, duration) => self.duration = ebml::float(duration),
                _ => {}
            }
        }
        Ok(())
    }

    /// Add the packets of a block whose content begins at `content`.
    fn block(&mut self, body: &[u8], content: u64, size: u64) -> Result<(), Error> {
        let (number, rest, length) = ebml::number(body, Marker::Drop)?;
        let Some(entry) = &self.entry else {
            return Err(Error::malformed("a block before the tracks"));
        };
        if number != entry.number {
            return Ok(());
        }
        let Some(([time_high, time_low, flags], laced)) = rest.split_first_chunk() else {
            return Err(Error::malformed("a block is cut off"));
        };
        let time = i16::from_be_bytes([*time_high, *time_low]);
        self.latest = self
            .latest
            .max(self.cluster_time.saturating_add_signed(time.into()));
        let head = u64::from(length) + 3;
        let (lacing, sizes) = lacing::sizes(*flags, laced, size - head)?;
        let mut at = content + head + lacing;
        for size in sizes {
            self.packets.push(at, size)?;
            at = at.saturating_add(size.into());
        }
        // Padding is left off only at the end of the last block.
        self.padding_ns = 0;
        Ok(())
    }

    fn finish(&mut self) -> Result<Track, Error> {
        let Some(entry) = self.entry.take() else {
            return Err(Error::malformed("there are no tracks"));
        };
        let packets = std::mem::replace(&mut self.packets, Packets::of(0));
        let mut timing = Timing::new(entry.description.sample_rate);
        if let Some(samples) = entry.description.packet_samples {
            timing.push(u32::try_from(packets.len()).unwrap_or(u32::MAX), samples);
        }
        let in_samples = |ns: u64| {
            // To the nearest: nanoseconds are rounded already.
            let samples = (u128::from(ns) * u128::from(timing.scale) + 500_000_000) / 1_000_000_000;
            u64::try_from(samples).unwrap_or(u64::MAX)
        };
        let (start, length) = (in_samples(entry.delay_ns), None);
        let edit = (start > 0).then_some(Edit { start, length });
        let padding_samples = in_samples(self.padding_ns);
        timing.edit = edit;
        // Casts of floats saturate, and take what is not a number for 0.
        let units = match self.duration as u64 {
            0 => self.latest,
            units => units,
        };
        let duration_ms = u128::from(units) * u128::from(self.scale_ns) / 1_000_000;
        Ok(Track {
            container: Container::Matroska,
            description: entry.description,
            packets,
            timing,
            duration_ms: u64::try_from(duration_ms).unwrap_or(u64::MAX),
            padding_samples,
        })
    }
}
