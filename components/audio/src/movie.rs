//! The table of contents of an MP4: the movie box (`moov`).

use mp4_atom::{Elst, Trex};

use crate::{
    boxes,
    error::Error,
    fragment::Fragments,
    packets::Packets,
    sample_entry, sample_table,
    soundtracks::Container,
    timing::{Edit, Timing},
    track::{Description, Track},
};

/// Longer lists of edits have several parts for certain.
const LONGEST_EDITS: usize = 1024;

/// What a movie box says about the track to take out.
#[derive(Debug)]
pub(crate) struct Movie {
    pub(crate) track: Track,
    /// How to read the rest of the packets, if they stand in fragments.
    pub(crate) fragments: Option<Fragments>,
}

impl Movie {
    /// Read the content of a `moov` of a file of this size.
    ///
    /// Of several audio tracks, the first that is supported counts.
    pub(crate) fn read(moov: &[u8], file_size: u64) -> Result<Self, Error> {
        let movie_scale = after_times(boxes::require(moov, b"mvhd")?)?;
        let mut refused = Error::NoAudioTrack;
        for child in boxes::children(moov) {
            match child? {
                (kind, trak) if kind == *b"trak" => {
                    match Candidate::read(trak, movie_scale) {
                        Ok(Some(candidate)) => return candidate.follow(moov, file_size),
                        Ok(None) => {}
                        // The first refusal is the one to tell.
                        Err(error) if refused == Error::NoAudioTrack => refused = error,
                        Err(_) => {}
                    }
                }
                _ => {}
            }
        }
        Err(refused)
    }
}

/// An audio track that is supported.
struct Candidate<'a> {
    id: u32,
    description: Description,
    timing: Timing,
    stbl: &'a [u8],
}

impl<'a> Candidate<'a> {
    /// Returns `None` if it is another kind of track.
    fn read(trak: &'a [u8], movie_scale: u32) -> Result<Option<Self>, Error> {
        let mdia = boxes::require(trak, b"mdia")?;
        // Version, flags, QuickTime's component type, then the kind of track.
        if boxes::require(mdia, b"hdlr")?.get(8..12) != Some(b"soun") {
            return Ok(None);
        }
        let stbl = boxes::require(boxes::require(mdia, b"minf")?, b"stbl")?;
        let description = sample_entry::read(boxes::require(stbl, b"stsd")?)?;
        let mut timing = Timing::new(after_times(boxes::require(mdia, b"mdhd")?)?);
        timing.edit = edit(trak, movie_scale, timing.scale)?;
        Ok(Some(Self {
            id: after_times(boxes::require(trak, b"tkhd")?)?,
            description,
            timing,
            stbl,
        }))
    }

    fn follow(self, moov: &[u8], file_size: u64) -> Result<Movie, Error> {
        let (mut packets, mut timing) = (Packets::of(file_size), self.timing);
        let mut fragments = None;
        if let Some(mvex) = boxes::find(moov, b"mvex")? {
            let mut defaults = Trex::default();
            for child in boxes::children(mvex) {
                let (kind, body) = child?;
                if kind == *b"trex" {
                    let trex = boxes::read::<Trex>(body)?;
                    if trex.track_id == self.id {
                        defaults = trex;
                    }
                }
            }
            fragments = Some(Fragments {
                track: self.id,
                defaults,
            });
        }
        sample_table::read(self.stbl, &mut packets, &mut timing)?;
        Ok(Movie {
            track: Track {
                container: Container::Mp4,
                duration_ms: timing.heard_ms(),
                description: self.description,
                packets,
                timing,
                // That is what an edit says.
                padding_samples: 0,
            },
            fragments,
        })
    }
}

/// The part of a track to be heard. A list of several parts is not followed: all
/// is copied then.
fn edit(trak: &[u8], movie_scale: u32, scale: u32) -> Result<Option<Edit>, Error> {
    let Some(edts) = boxes::find(trak, b"edts")? else {
        return Ok(None);
    };
    let Some(elst) = boxes::find(edts, b"elst")? else {
        return Ok(None);
    };
    if elst.len() > LONGEST_EDITS {
        return Ok(None);
    }
    let elst = boxes::read::<Elst>(elst)?;
    // Entries without a time are pauses.
    let mut parts = elst
        .entries
        .iter()
        .filter_map(|entry| Some((entry.media_time?, entry.segment_duration)));
    let (Some((start, length)), None) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    let length = u128::from(length) * u128::from(scale) / u128::from(movie_scale.max(1));
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    Ok(Some(Edit {
        start,
        length: (length > 0).then_some(length),
    }))
}

/// The field that follows the times of creation and modification: the identity in
/// `tkhd`, the time scale in `mvhd` and `mdhd`. The rest of these boxes is not
/// read, because old files have all kinds of things there.
fn after_times(body: &[u8]) -> Result<u32, Error> {
    let offset = match body.first() {
        Some(0) => 12,
        _ => 20,
    };
    body.get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map(|field| u32::from_be_bytes(*field))
        .ok_or_else(|| Error::malformed("a header in the `moov` is cut off"))
}
