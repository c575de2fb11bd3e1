//! Opus and Vorbis as Ogg (RFC 3533, RFC 7845).

use std::io;

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::{
    error::Error,
    opus,
    track::{Codec, Track},
    vorbis::Clock,
};

/// The number of the only stream in the file.
const SERIAL: u32 = 1;

/// Writes packets into pages.
pub(crate) struct Ogg {
    pages: PacketWriter<'static, Vec<u8>>,
    clock: Option<Clock>,
    sample_rate: u64,
    padding: u64,
    /// Samples so far.
    position: u64,
    /// Samples when the page began.
    page: u64,
}

impl Ogg {
    /// Write the headers of a track of Opus or Vorbis.
    pub(crate) fn begin(track: &Track) -> Result<Self, Error> {
        let mut pages = PacketWriter::new(Vec::new());
        let mut clock = None;
        let mut write = |header: Vec<u8>, end| pages.write_packet(header, SERIAL, end, 0);
        match &track.description.codec {
            Codec::Opus(head) => {
                write(head.clone(), PacketWriteEndInfo::EndPage).map_err(failed)?;
                write(opus_tags(), PacketWriteEndInfo::EndPage).map_err(failed)?;
            }
            Codec::Vorbis([identification, comment, setup]) => {
                clock = Some(Clock::new(identification, setup)?);
                write(identification.clone(), PacketWriteEndInfo::EndPage).map_err(failed)?;
                write(comment.clone(), PacketWriteEndInfo::NormalPacket).map_err(failed)?;
                write(setup.clone(), PacketWriteEndInfo::EndPage).map_err(failed)?;
            }
            Codec::Aac(_) | Codec::Mp3 => {
                return Err(Error::Other("neither Opus nor Vorbis".into()));
            }
        }
        Ok(Self {
            pages,
            clock,
            sample_rate: track.description.sample_rate.into(),
            padding: padding(track),
            position: 0,
            page: 0,
        })
    }

    /// Write a packet. The last one ends the stream.
    pub(crate) fn write(&mut self, packet: &[u8], is_last: bool) -> Result<(), Error> {
        let samples = match &mut self.clock {
            Some(clock) => clock.samples(packet),
            None => opus::samples(packet),
        };
        self.position = self.position.saturating_add(samples);
        let (end, position) = if is_last {
            let position = self.position.saturating_sub(self.padding);
            (PacketWriteEndInfo::EndStream, position.max(self.page))
        } else if self.position - self.page >= self.sample_rate {
            // A second a page, so that seeking is fine-grained.
            self.page = self.position;
            (PacketWriteEndInfo::EndPage, self.position)
        } else {
            (PacketWriteEndInfo::NormalPacket, self.position)
        };
        self.pages
            .write_packet(packet.to_vec(), SERIAL, end, position)
            .map_err(failed)
    }

    /// The pages that are complete.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.pages.inner_mut())
    }
}

/// The samples at the end that are not to be heard.
fn padding(track: &Track) -> u64 {
    let edit = track.timing.edit;
    let Some((start, length)) = edit.and_then(|edit| Some((edit.start, edit.length?))) else {
        return track.padding_samples;
    };
    let units = track
        .timing
        .total()
        .saturating_sub(start.saturating_add(length));
    let samples = u128::from(units) * u128::from(track.description.sample_rate)
        / u128::from(track.timing.scale);
    u64::try_from(samples).unwrap_or_default()
}

/// The comment header, with the name of who wrote it and no comments.
fn opus_tags() -> Vec<u8> {
    let vendor = b"emporium";
    let mut tags = b"OpusTags".to_vec();
    tags.extend((vendor.len() as u32).to_le_bytes());
    tags.extend(vendor);
    tags.extend(0_u32.to_le_bytes());
    tags
}

fn failed(error: io::Error) -> Error {
    Error::Other(format!("writing an Ogg: {error}"))
}
