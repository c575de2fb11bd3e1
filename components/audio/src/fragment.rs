//! Fragments of an MP4: a table of contents for a second or so (`moof`).

use mp4_atom::{Tfhd, Trex, Trun, TrunSamples};

use crate::{boxes, error::Error, track::Track};

/// How to read the fragments of a track.
#[derive(Debug)]
pub(crate) struct Fragments {
    /// The track to take out.
    pub(crate) track: u32,
    pub(crate) defaults: Trex,
}

impl Fragments {
    /// Add the packets of the fragment whose box is at `offset`.
    pub(crate) fn read(&self, moof: &[u8], offset: u64, track: &mut Track) -> Result<(), Error> {
        // Where the data of a track begins that says nothing about it.
        let mut behind = offset;
        for child in boxes::children(moof) {
            let (kind, traf) = child?;
            if kind == *b"traf" {
                behind = self.read_track(traf, offset, behind, track)?;
            }
        }
        Ok(())
    }

    /// Returns where the data of this track ends.
    fn read_track(
        &self,
        traf: &[u8],
        offset: u64,
        behind: u64,
        track: &mut Track,
    ) -> Result<u64, Error> {
        let tfhd = boxes::read::<Tfhd>(boxes::require(traf, b"tfhd")?)?;
        let base = match (tfhd.base_data_offset, tfhd.default_base_is_moof) {
            (Some(base), _) => base,
            (None, true) => offset,
            (None, false) => behind,
        };
        let size = tfhd.default_sample_size;
        let size = size.unwrap_or(self.defaults.default_sample_size);
        let duration = tfhd.default_sample_duration;
        let duration = duration.unwrap_or(self.defaults.default_sample_duration);
        let mut at = base;
        for child in boxes::children(traf) {
            let (kind, body) = child?;
            if kind != *b"trun" {
                continue;
            }
            let run = boxes::read::<Trun>(body)?;
            if let Some(shift) = run.data_offset {
                at = base.saturating_add_signed(shift.into());
            }
            if tfhd.track_id == self.track {
                at = add(&run, at, (size, duration), track)?;
            } else {
                at = at.saturating_add(length(&run, size));
            }
        }
        Ok(at)
    }
}

/// Add the packets of a run. Returns where it ends.
fn add(
    run: &Trun,
    mut at: u64,
    (default_size, default_duration): (u32, u32),
    track: &mut Track,
) -> Result<u64, Error> {
    for entry in run.samples.iter() {
        let size = entry.size.unwrap_or(default_size);
        track.packets.push(at, size)?;
        let duration = entry.duration.unwrap_or(default_duration);
        track.timing.push(1, duration);
        at = at.saturating_add(size.into());
    }
    Ok(at)
}

/// The length of a run, without walking over one that claims millions of packets.
fn length(run: &Trun, default_size: u32) -> u64 {
    match &run.samples {
        TrunSamples::Inherited { count, .. } => u64::from(*count) * u64::from(default_size),
        TrunSamples::Explicit(entries) => entries
            .iter()
            .map(|entry| u64::from(entry.size.unwrap_or(default_size)))
            .sum(),
    }
}
