//! What an MP4 says about the codec of a track: the sample description (`stsd`).

use mp4_atom::{Audio, Decode as _, Esds, esds::EsDescriptor};

use crate::{boxes, error::Error, track::Description};

/// More of it is not a configuration, but an attempt to nest descriptors deeply.
const LONGEST_ESDS: usize = 2048;

/// Read the content of a `stsd`.
pub(crate) fn read(stsd: &[u8]) -> Result<Description, Error> {
    // Version, flags, number of entries.
    let entries = stsd
        .get(8..)
        .ok_or_else(|| Error::malformed("an empty box `stsd`"))?;
    let mut entries = boxes::children(entries);
    let (kind, body) = entries
        .next()
        .ok_or_else(|| Error::malformed("an empty box `stsd`"))??;
    if entries.next().is_some() {
        return Err(Error::UnsupportedCodec("that changes on the way".into()));
    }
    if !matches!(&kind, b"mp4a" | b".mp3" | b"ms\0\x55" | b"Opus") {
        return Err(Error::UnsupportedCodec(boxes::name(kind)));
    }
    let mut rest = body;
    let audio = Audio::decode(&mut rest)
        .map_err(|error| Error::malformed(format!("a sample entry: {error}")))?;
    let (rate, channels) = (audio.sample_rate.integer().into(), audio.channel_count);
    match &kind {
        b"mp4a" => mpeg4(rest, rate, channels),
        b"Opus" => Description::opus(opus_head(boxes::require(rest, b"dOps")?)?),
        _ => Ok(Description::mp3(rate, channels)),
    }
}

fn mpeg4(children: &[u8], rate: u32, channels: u16) -> Result<Description, Error> {
    // QuickTime puts it one level deeper.
    let esds = match boxes::find(children, b"wave")? {
        Some(wave) => boxes::require(wave, b"esds")?,
        None => boxes::require(children, b"esds")?,
    };
    if esds.len() > LONGEST_ESDS {
        return Err(Error::TooLarge(format!(
            "an `esds` of {} bytes",
            esds.len()
        )));
    }
    let EsDescriptor { dec_config, .. } = boxes::read::<Esds>(esds)?.es_desc;
    match (dec_config.object_type_indication, dec_config.dec_specific) {
        // MPEG-4 audio, and the three profiles of MPEG-2 AAC.
        (0x40 | 0x66..=0x68, Some(specific)) if specific.raw.len() >= 2 => {
            Ok(Description::aac(specific.raw, rate, channels))
        }
        (0x40 | 0x66..=0x68, _) => Err(Error::UnsupportedCodec(
            "AAC without its configuration".into(),
        )),
        // MPEG-2 and MPEG-1 audio.
        (0x69 | 0x6b, _) => Ok(Description::mp3(rate, channels)),
        (other, _) => Err(Error::UnsupportedCodec(format!("mp4a.{other:02x}"))),
    }
}

/// The header of Ogg Opus (RFC 7845, 5.1) from the one of MP4, which has the same
/// fields in the other byte order.
fn opus_head(dops: &[u8]) -> Result<Vec<u8>, Error> {
    let [
        0,
        channels,
        skip,
        skip_low,
        r3,
        r2,
        r1,
        r0,
        gain,
        gain_low,
        mapping @ ..,
    ] = dops
    else {
        return Err(Error::malformed("the Opus header"));
    };
    let mut head = b"OpusHead\x01".to_vec();
    head.extend([channels, skip_low, skip, r0, r1, r2, r3, gain_low, gain]);
    head.extend(mapping);
    Ok(head)
}
