//! AAC as M4A: an MP4 whose table of contents stands in front.

use mp4_atom::{
    Audio, Codec, Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode, Esds, FourCC, Ftyp, Hdlr,
    Mdhd, Mdia, Minf, Moov, Mp4a, Mvhd, Smhd, Stbl, Stco, Stsc, StscEntry, Stsd, Stsz, StszSamples,
    Stts, SttsEntry, Tkhd, Trak, Url,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig},
};

use crate::{error::Error, timing::Timing, track::Track};

/// How many packets share a chunk: over a second, so that a player which seeks
/// reads little.
const CHUNK: usize = 64;

/// Everything in front of the packets, which follow as they are.
pub(crate) fn head(track: &Track, config: &[u8]) -> Result<Vec<u8>, Error> {
    let mut timing = track.timing.clone();
    timing.fit(count(track.packets.len())?);
    let mut moov = moov(track, &timing, config)?;
    let mut head = Vec::new();
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"M4A "),
        minor_version: 512,
        compatible_brands: [b"M4A ", b"isom", b"iso2"].map(FourCC::new).to_vec(),
    };
    write(&ftyp, &mut head)?;
    let before = head.len();
    // How long it is does not depend on the offsets in it.
    write(&moov, &mut head)?;
    let first = head.len() + 8;
    head.truncate(before);
    if let Some(stbl) = moov.trak.first_mut().map(|trak| &mut trak.mdia.minf.stbl) {
        stbl.stco = Some(chunks(track, first)?);
    }
    write(&moov, &mut head)?;
    let size = count(track.packets.total().saturating_add(8))?;
    head.extend(size.to_be_bytes());
    head.extend(b"mdat");
    Ok(head)
}

fn moov(track: &Track, timing: &Timing, config: &[u8]) -> Result<Moov, Error> {
    let total = timing.total();
    let heard = timing.edit.map(|edit| {
        let rest = total.saturating_sub(edit.start);
        (
            edit.start,
            edit.length.map_or(rest, |length| length.min(rest)),
        )
    });
    let duration = heard.map_or(total, |(_, length)| length);
    let edts = heard.map(|(start, length)| Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry {
                segment_duration: length,
                media_time: Some(start),
                media_rate: 1.into(),
            }],
        }),
    });
    Ok(Moov {
        mvhd: Mvhd {
            timescale: timing.scale,
            duration,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: 2,
            ..Mvhd::default()
        },
        trak: vec![Trak {
            tkhd: Tkhd {
                track_id: 1,
                duration,
                enabled: true,
                in_movie: true,
                volume: 1.into(),
                ..Tkhd::default()
            },
            edts,
            mdia: Mdia {
                mdhd: Mdhd {
                    timescale: timing.scale,
                    duration: total,
                    language: "und".into(),
                    ..Mdhd::default()
                },
                hdlr: Hdlr {
                    handler: FourCC::new(b"soun"),
                    name: "SoundHandler".into(),
                },
                minf: Minf {
                    smhd: Some(Smhd::default()),
                    dinf: Dinf {
                        dref: Dref {
                            // An empty location: the data is in this file.
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    },
                    stbl: table(track, timing, config)?,
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }],
        ..Moov::default()
    })
}

fn table(track: &Track, timing: &Timing, config: &[u8]) -> Result<Stbl, Error> {
    let packets = track.packets.len();
    let group = |first: usize, samples: usize| {
        Ok(StscEntry {
            first_chunk: count(first)?,
            samples_per_chunk: count(samples)?,
            sample_description_index: 1,
        })
    };
    let mut groups = Vec::new();
    if packets >= CHUNK {
        groups.push(group(1, CHUNK)?);
    }
    if !packets.is_multiple_of(CHUNK) {
        groups.push(group(packets / CHUNK + 1, packets % CHUNK)?);
    }
    let duration = |run: &crate::timing::Run| SttsEntry {
        sample_count: run.count,
        sample_delta: run.duration,
    };
    Ok(Stbl {
        stsd: Stsd {
            codecs: vec![Codec::Mp4a(sample_entry(track, config))],
        },
        stts: Stts {
            entries: timing.runs.iter().map(duration).collect(),
        },
        stsc: Stsc { entries: groups },
        stsz: Stsz {
            samples: StszSamples::Different {
                sizes: track.packets.iter().map(|packet| packet.size).collect(),
            },
        },
        stco: Some(chunks(track, 0)?),
        ..Stbl::default()
    })
}

fn sample_entry(track: &Track, config: &[u8]) -> Mp4a {
    let description = &track.description;
    let bits = track.packets.total().saturating_mul(8 * 1000);
    let rate = bits.checked_div(track.duration_ms).unwrap_or_default();
    let rate = u32::try_from(rate).unwrap_or_default();
    Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: description.channels,
            sample_size: 16,
            // Higher rates do not fit; the configuration has them.
            sample_rate: u16::try_from(description.sample_rate)
                .unwrap_or_default()
                .into(),
        },
        esds: Esds {
            es_desc: EsDescriptor {
                dec_config: DecoderConfig {
                    object_type_indication: 0x40,
                    stream_type: 5,
                    max_bitrate: rate,
                    avg_bitrate: rate,
                    dec_specific: Some(DecoderSpecific {
                        raw: config.to_vec(),
                        ..DecoderSpecific::default()
                    }),
                    ..DecoderConfig::default()
                },
                sl_config: SLConfig::default(),
                ..EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    }
}

/// Where the chunks are, if the first begins at `first`.
fn chunks(track: &Track, first: usize) -> Result<Stco, Error> {
    let mut at = count(first)?;
    let mut entries = Vec::with_capacity(track.packets.len() / CHUNK + 1);
    for (index, packet) in track.packets.iter().enumerate() {
        if index.is_multiple_of(CHUNK) {
            entries.push(at);
        }
        at = at
            .checked_add(packet.size)
            .ok_or_else(|| Error::TooLarge("a result over 4 GiB".into()))?;
    }
    Ok(Stco { entries })
}

fn write(atom: &impl Encode, head: &mut Vec<u8>) -> Result<(), Error> {
    atom.encode(head)
        .map_err(|error| Error::Other(format!("writing an M4A: {error}")))
}

fn count(number: impl TryInto<u32>) -> Result<u32, Error> {
    number
        .try_into()
        .map_err(|_| Error::TooLarge("a result over 4 GiB".into()))
}
