//! Where an MP4 says the packets of a track are: the sample table (`stbl`).
//!
//! The tables are read where they stand: they are the largest part of a `moov`.

use std::iter;

use crate::{boxes, error::Error, packets::Packets, timing::Timing};

/// Add every packet of the table, and how long each lasts.
pub(crate) fn read(stbl: &[u8], packets: &mut Packets, timing: &mut Timing) -> Result<(), Error> {
    place(stbl, packets)?;
    for &[a, b, c, d, e, f, g, h] in table(boxes::require(stbl, b"stts")?)? {
        let [count, duration] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
        timing.push(count, duration);
    }
    timing.fit(u32::try_from(packets.len()).unwrap_or(u32::MAX));
    Ok(())
}

fn place(stbl: &[u8], packets: &mut Packets) -> Result<(), Error> {
    let mut sizes = sizes(boxes::require(stbl, b"stsz")?)?;
    let mut groups = table(boxes::require(stbl, b"stsc")?)?
        .iter()
        .map(|&[a, b, c, d, e, f, g, h, _, _, _, _]| {
            [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes)
        })
        .peekable();
    let mut in_chunk = 0;
    for (number, offset) in iter::zip(1_u32.., chunks(stbl)?) {
        while let Some([_, samples]) = groups.next_if(|[first, _]| *first <= number) {
            in_chunk = samples;
        }
        let mut at = offset;
        for _ in 0..in_chunk {
            let Some(size) = sizes.next() else {
                return Ok(());
            };
            packets.push(at, size)?;
            at = at.saturating_add(size.into());
        }
    }
    match sizes.next() {
        None => Ok(()),
        Some(_) => Err(Error::malformed("more samples than the chunks have")),
    }
}

fn sizes(stsz: &[u8]) -> Result<Box<dyn Iterator<Item = u32> + '_>, Error> {
    let short = || Error::malformed("a box `stsz` is cut off");
    let (fields, rest) = stsz.split_first_chunk::<12>().ok_or_else(short)?;
    let [_, _, _, _, a, b, c, d, e, f, g, h] = *fields;
    let [same, count] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
    if same > 0 {
        return Ok(Box::new(iter::repeat_n(same, count as usize)));
    }
    let sizes = rest.as_chunks().0.get(..count as usize).ok_or_else(short)?;
    Ok(Box::new(sizes.iter().map(|size| u32::from_be_bytes(*size))))
}

fn chunks(stbl: &[u8]) -> Result<Box<dyn Iterator<Item = u64> + '_>, Error> {
    Ok(match boxes::find(stbl, b"co64")? {
        Some(co64) => Box::new(table(co64)?.iter().copied().map(u64::from_be_bytes)),
        None => {
            let stco = table(boxes::require(stbl, b"stco")?)?;
            Box::new(stco.iter().map(|at| u32::from_be_bytes(*at).into()))
        }
    })
}

/// The entries of a table: version, flags, their number, then each in `N` bytes.
fn table<const N: usize>(body: &[u8]) -> Result<&[[u8; N]], Error> {
    let count = body.get(4..8).and_then(|count| count.first_chunk());
    let entries = body.get(8..).map(|entries| entries.as_chunks().0);
    match (count, entries) {
        (Some(count), Some(entries)) => entries.get(..u32::from_be_bytes(*count) as usize),
        _ => None,
    }
    .ok_or_else(|| Error::malformed("a sample table is cut off"))
}
