//! RESP, what Redis speaks, as far as it takes to tell messages from the rest.

use super::{
    relay::Fate,
    trap::{Moment, Traps},
};

/// The length of the value at the beginning of what was heard, if it is whole.
/// What is no RESP passes as it is.
pub(super) fn length(heard: &[u8]) -> Option<usize> {
    let (kind, rest) = heard.split_first()?;
    if !b"*>~%$=!+-:,#_(".contains(kind) {
        return Some(heard.len());
    }
    let line = rest.windows(2).position(|end| end == b"\r\n")?;
    let begin = line + 3;
    let count = || {
        let digits = std::str::from_utf8(rest.get(..line)?).ok()?;
        digits.parse::<i64>().ok()
    };
    let items = match kind {
        b'$' | b'=' | b'!' => {
            // A length of -1 says that there is nothing.
            let end = match usize::try_from(count()?) {
                Ok(length) => begin + length + 2,
                Err(_) => begin,
            };
            return (heard.len() >= end).then_some(end);
        }
        b'*' | b'>' | b'~' => count()?.max(0),
        b'%' => count()?.max(0) * 2,
        _ => 0,
    };
    (0..items).try_fold(begin, |end, _| Some(end + length(heard.get(end..)?)?))
}

pub(super) fn client_says(message: &[u8], traps: &Traps) -> Fate {
    let is_publication =
        first_word(message).is_some_and(|word| word.eq_ignore_ascii_case(b"PUBLISH"));
    match is_publication {
        true => traps
            .take(Moment::BeforePublish)
            .map_or(Fate::Pass, Fate::Hold),
        false => Fate::Pass,
    }
}

/// Whether this is a message on a channel.
pub(super) fn is_message(reply: &[u8]) -> bool {
    first_word(reply) == Some(b"message")
}

/// The first of an array of texts.
fn first_word(array: &[u8]) -> Option<&[u8]> {
    let mut lines = array.split(|byte| *byte == b'\n');
    let head = lines.next()?;
    let text = lines.next()?;
    (matches!(head.first(), Some(b'*' | b'>')) && text.first() == Some(&b'$')).then_some(())?;
    lines.next()?.strip_suffix(b"\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$6\r\nledger\r\n$0\r\n\r\n";

    #[test]
    fn a_value_is_whole_with_all_its_parts() {
        assert_eq!(length(MESSAGE), Some(MESSAGE.len()));
        for end in 0..MESSAGE.len() {
            assert_eq!(length(&MESSAGE[..end]), None, "{end}");
        }
        assert_eq!(length(b"+OK\r\n+OK\r\n"), Some(5));
        assert_eq!(length(b"$-1\r\n:1\r\n"), Some(5));
        assert_eq!(length(b"%1\r\n+a\r\n:1\r\n"), Some(12));
    }

    #[test]
    fn messages_are_told_from_other_replies() {
        assert!(is_message(MESSAGE));
        assert!(!is_message(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"));
        assert!(!is_message(b":1\r\n"));
    }

    #[test]
    fn a_publication_springs_the_trap() {
        let traps = Traps::default();
        let _armed = traps.arm(Moment::BeforePublish);
        let ping = b"*1\r\n$4\r\nPING\r\n";
        assert!(matches!(client_says(ping, &traps), Fate::Pass));
        let publish = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1\r\nb\r\n";
        assert!(matches!(client_says(publish, &traps), Fate::Hold(_)));
    }
}
